"""SandboxService on the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

from rc_daemon.api.call import Call
from rc_daemon.tasks.parts import Parts
from rc_daemon.tasks.sandboxes import SandboxService
from rc_daemon.tasks.verify import verify
from rc_protos.convert import to_message
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Option, SeenSandbox
from rc_protos.v1 import sandbox_pb2 as pb
from rc_providers import registry
from rc_providers.abilities import abilities, summary


class SandboxServicer:
    """Converts and calls rc_daemon.tasks.sandboxes, and the providers."""

    def __init__(self, parts: Parts) -> None:
        self._store = parts.store
        self._provider = parts.provider
        self._service = SandboxService(parts)
        self._verify = partial(verify, parts)

    async def ListSandboxes(self, request: pb.ListSandboxesRequest, call: Call) -> pb.ListSandboxesResponse:
        if request.look:
            seen, problems = await self._service.list()
            return pb.ListSandboxesResponse(seen=[_wire(each) for each in seen], problems=problems)
        found = await self._store.read(lambda tx: tx.list_sandboxes())
        return pb.ListSandboxesResponse(sandboxes=[to_message(each, pb.Sandbox) for each in found])

    async def GetSandbox(self, request: pb.GetSandboxRequest, call: Call) -> pb.GetSandboxResponse:
        return pb.GetSandboxResponse(seen=_wire(await self._service.get(request.sandbox)))

    async def StartSandbox(self, request: pb.StartSandboxRequest, call: Call) -> pb.StartSandboxResponse:
        return pb.StartSandboxResponse(seen=_wire(await self._service.start(request.sandbox)))

    async def StopSandbox(self, request: pb.StopSandboxRequest, call: Call) -> pb.StopSandboxResponse:
        return pb.StopSandboxResponse(seen=_wire(await self._service.stop(request.sandbox)))

    async def RemoveSandbox(self, request: pb.RemoveSandboxRequest, call: Call) -> pb.RemoveSandboxResponse:
        seen, saved_to = await self._service.remove(request.sandbox, discard=request.discard)
        return pb.RemoveSandboxResponse(seen=_wire(seen), saved_to=saved_to)

    async def AdoptSandbox(self, request: pb.AdoptSandboxRequest, call: Call) -> pb.AdoptSandboxResponse:
        return pb.AdoptSandboxResponse(seen=_wire(await self._service.adopt(request.sandbox)))

    async def ListProviders(self, request: pb.ListProvidersRequest, call: Call) -> pb.ListProvidersResponse:
        return pb.ListProvidersResponse(providers=[self._show(name) for name in registry.names()])

    async def AddProvider(self, request: pb.AddProviderRequest, call: Call) -> pb.AddProviderResponse:
        provider = self._provider(request.provider)
        await provider.add(request.accept_key)
        return pb.AddProviderResponse(notices=await provider.check(""))

    async def RemoveProvider(self, request: pb.RemoveProviderRequest, call: Call) -> pb.RemoveProviderResponse:
        await self._provider(request.provider).remove()
        return pb.RemoveProviderResponse()

    async def VerifyProvider(
        self, request: pb.VerifyProviderRequest, call: Call
    ) -> AsyncIterator[pb.VerifyProviderResponse]:
        options = dict(request.options)
        verdicts = self._verify(request.provider, options=options, live=request.live, max_cost=request.max_cost)
        async with aclosing(verdicts):
            async for verdict in verdicts:
                yield pb.VerifyProviderResponse(promise=verdict.promise, problem=verdict.problem)

    def _show(self, name: str) -> pb.Provider:
        try:
            provider = registry.kind(name)
        except RemoteClaudeError as error:
            return pb.Provider(name=name, problem=error.message)
        options = [_schema(option) for option in provider.options]
        return pb.Provider(
            name=name,
            capabilities=sorted(provider.capabilities),
            options=options,
            reference=provider.reference(),
            summary=summary(provider),
            abilities=[to_message(each, pb.Ability) for each in abilities(provider)],
        )


def _wire(seen: SeenSandbox) -> pb.SeenSandbox:
    return to_message(seen, pb.SeenSandbox)


def _schema(option: Option) -> str:
    return json.dumps(
        {
            "name": option.name,
            "type": option.kind,
            "default": option.default,
            "help": option.help,
            "choices": option.choices,
        }
    )
