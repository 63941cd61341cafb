"""The part of DaemonClient that is about where tasks run: providers and sandboxes."""

from __future__ import annotations

from typing import Any

from rc_protos.convert import from_message
from rc_protos.model import Provider, Sandbox
from rc_protos.v1 import sandbox_pb2 as pb
from rc_protos.v1.sandbox_pb2_grpc import SandboxServiceStub


class PlaceCalls:
    """Mixed into DaemonClient, which makes the calls."""

    sandboxes: SandboxServiceStub
    _call: Any

    async def list_sandboxes(self) -> list[Sandbox]:
        """As the registry knows them."""
        answer = await self._call(self.sandboxes.ListSandboxes, pb.ListSandboxesRequest())
        return [from_message(each, Sandbox) for each in answer.sandboxes]

    async def list_providers(self) -> list[Provider]:
        """Those that are installed."""
        answer = await self._call(self.sandboxes.ListProviders, pb.ListProvidersRequest())
        return [from_message(each, Provider) for each in answer.providers]

    async def add_provider(self, provider: str, accept_key: str = "") -> list[str]:
        """See that a place can be used, accepting its host key before; what the person should know of it."""
        request = pb.AddProviderRequest(provider=provider, accept_key=accept_key)
        answer = await self._call(self.sandboxes.AddProvider, request)
        return list(answer.notices)

    async def remove_provider(self, provider: str) -> None:
        """Forget what was accepted of a place."""
        await self._call(self.sandboxes.RemoveProvider, pb.RemoveProviderRequest(provider=provider))
