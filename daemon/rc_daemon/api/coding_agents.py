"""CodingAgentService on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from rc_daemon.api.call import Call
from rc_daemon.coding.catalog import Catalog
from rc_daemon.coding.install import install
from rc_protos.convert import to_message
from rc_protos.v1 import coding_agent_pb2 as pb


class CodingAgentServicer:
    """Calls rc_daemon.coding."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def ListCodingAgents(self, request: pb.ListCodingAgentsRequest, call: Call) -> pb.ListCodingAgentsResponse:
        if request.name:
            found = [await asyncio.to_thread(self._catalog.show, request.name)]
        else:
            found = await asyncio.to_thread(self._catalog.list)
        return pb.ListCodingAgentsResponse(coding_agents=[to_message(each, pb.CodingAgent) for each in found])

    async def InstallCodingAgent(
        self, request: pb.InstallCodingAgentRequest, call: Call
    ) -> AsyncIterator[pb.InstallCodingAgentResponse]:
        async for step in install(self._catalog, request.name):
            yield pb.InstallCodingAgentResponse(message=step.message, done=step.done, total=step.total)
        shown = await asyncio.to_thread(self._catalog.show, request.name)
        yield pb.InstallCodingAgentResponse(coding_agent=to_message(shown, pb.CodingAgent))
