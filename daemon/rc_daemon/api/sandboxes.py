"""SandboxService on the wire."""

from __future__ import annotations

import json
from collections.abc import Callable

from rc_daemon.api.call import Call
from rc_daemon.store.store import Store
from rc_protos.convert import to_message
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Option
from rc_protos.v1 import sandbox_pb2 as pb
from rc_providers import registry
from rc_providers.abilities import abilities, summary
from rc_providers.base import Provider


class SandboxServicer:
    """Reads the registry and the providers."""

    def __init__(self, store: Store, provider: Callable[[str], Provider]) -> None:
        self._store = store
        self._provider = provider

    async def ListSandboxes(self, request: pb.ListSandboxesRequest, call: Call) -> pb.ListSandboxesResponse:
        found = await self._store.read(lambda tx: tx.list_sandboxes())
        return pb.ListSandboxesResponse(sandboxes=[to_message(each, pb.Sandbox) for each in found])

    async def ListProviders(self, request: pb.ListProvidersRequest, call: Call) -> pb.ListProvidersResponse:
        return pb.ListProvidersResponse(providers=[self._show(name) for name in registry.names()])

    async def AddProvider(self, request: pb.AddProviderRequest, call: Call) -> pb.AddProviderResponse:
        provider = self._provider(request.provider)
        await provider.add(request.accept_key)
        return pb.AddProviderResponse(notices=await provider.check(""))

    async def RemoveProvider(self, request: pb.RemoveProviderRequest, call: Call) -> pb.RemoveProviderResponse:
        await self._provider(request.provider).remove()
        return pb.RemoveProviderResponse()

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
