"""The part of DaemonClient that is about where tasks run: providers and sandboxes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from rc_client.channel import PROTOCOL_METADATA, streaming
from rc_protos.convert import from_message
from rc_protos.model import Provider, Sandbox, SeenSandbox, Stats
from rc_protos.v1 import sandbox_pb2 as pb
from rc_protos.v1.health_pb2 import WatchStatsRequest
from rc_protos.v1.health_pb2_grpc import HealthServiceStub
from rc_protos.v1.sandbox_pb2_grpc import SandboxServiceStub

# Saving takes its time, and so does a host that is asked over SSH.
LONG_SECONDS = 600.0


class PlaceCalls:
    """Mixed into DaemonClient, which makes the calls."""

    sandboxes: SandboxServiceStub
    health: HealthServiceStub
    _call: Any

    async def list_sandboxes(self) -> list[Sandbox]:
        """As the registry knows them."""
        answer = await self._call(self.sandboxes.ListSandboxes, pb.ListSandboxesRequest())
        return [from_message(each, Sandbox) for each in answer.sandboxes]

    async def see_sandboxes(self) -> tuple[list[SeenSandbox], list[str]]:
        """Every one that is there or should be, and one line per provider that gave no answer."""
        answer = await self._call(self.sandboxes.ListSandboxes, pb.ListSandboxesRequest(look=True))
        return [from_message(each, SeenSandbox) for each in answer.seen], list(answer.problems)

    async def get_sandbox(self, sandbox: str) -> SeenSandbox:
        """By id, unique beginning of it, or its task's name."""
        return await self._seen(self.sandboxes.GetSandbox, pb.GetSandboxRequest(sandbox=sandbox))

    async def start_sandbox(self, sandbox: str) -> SeenSandbox:
        """Bring back one that belongs to no task."""
        return await self._seen(self.sandboxes.StartSandbox, pb.StartSandboxRequest(sandbox=sandbox))

    async def stop_sandbox(self, sandbox: str) -> SeenSandbox:
        """End the processes of one that belongs to no task."""
        return await self._seen(self.sandboxes.StopSandbox, pb.StopSandboxRequest(sandbox=sandbox))

    async def adopt_sandbox(self, sandbox: str) -> SeenSandbox:
        """Make an orphan, or another installation's, this installation's."""
        return await self._seen(self.sandboxes.AdoptSandbox, pb.AdoptSandboxRequest(sandbox=sandbox))

    async def remove_sandbox(self, sandbox: str, *, discard: bool = False) -> tuple[SeenSandbox, str]:
        """Save the workspace of one that belongs to no task, then remove it; where it is saved."""
        request = pb.RemoveSandboxRequest(sandbox=sandbox, discard=discard)
        answer = await self._call(self.sandboxes.RemoveSandbox, request, LONG_SECONDS)
        return from_message(answer.seen, SeenSandbox), answer.saved_to

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

    async def verify_provider(
        self, provider: str, *, options: Mapping[str, str], live: bool = False, max_cost: float = 0.0
    ) -> AsyncIterator[tuple[str, str]]:
        """Run the contract: (promise, what is wrong with it) as it goes; empty: it holds."""
        request = pb.VerifyProviderRequest(provider=provider, options=options, live=live, max_cost=max_cost)
        with streaming(self.sandboxes.VerifyProvider(request, metadata=PROTOCOL_METADATA)) as verdicts:
            async for verdict in verdicts:
                yield verdict.promise, verdict.problem

    async def watch_stats(self, sandbox_id: str, *, follow: bool = False) -> AsyncIterator[list[Stats]]:
        """What a sandbox's processes use: the history, oldest first, then each new sample."""
        metadata = (*PROTOCOL_METADATA, ("rc-sandbox", sandbox_id))
        with streaming(self.health.WatchStats(WatchStatsRequest(follow=follow), metadata=metadata)) as answers:
            async for answer in answers:
                yield [from_message(each, Stats) for each in answer.stats]

    async def _seen(self, method: Any, request: Any) -> SeenSandbox:
        return from_message((await self._call(method, request, LONG_SECONDS)).seen, SeenSandbox)
