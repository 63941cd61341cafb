"""AttachSession on the wire; every other method of SessionService goes to the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rc_daemon.api.call import Call
from rc_daemon.links.proxy import SANDBOX_KEY
from rc_daemon.sessions.attach import Attachments
from rc_protos.v1 import session_pb2 as pb


class SessionServicer:
    """Calls rc_daemon.sessions.attach."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments

    async def AttachSession(
        self, request: pb.AttachSessionRequest, call: Call
    ) -> AsyncIterator[pb.AttachSessionResponse]:
        async for item in self._attachments.attach(request, call.metadata.get(SANDBOX_KEY, "")):
            yield item
