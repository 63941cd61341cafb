"""HealthService and the fence: who may speak to this agent, and that both sides live."""

# ruff: noqa: N802 - methods are named by the proto
from __future__ import annotations

import asyncio
import os
import platform
import secrets
import sys
from collections.abc import Callable
from typing import Any

from grpclib.server import Stream

from rc_agent import home
from rc_agent.calls import received
from rc_agent.sessions.service import SessionService
from rc_agent.sessions.store import Sessions, read_json, write_json
from rc_agent.stats import WATCHED, Sampler
from rc_protos import errors
from rc_protos.v1 import health_pb2 as pb
from rc_protos.v1.health_grpc import HealthServiceBase
from rc_protos.version import VERSION

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1
FEATURES = ("sessions", "files", "forwards")
BEAT_DEADLINE = 10.0


class Fence:
    """Lets only the newest placement in: a connection that said an older epoch is refused and cut."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.epoch = int((read_json(path) or {}).get("epoch", 0))
        self._spoken: dict[asyncio.BaseTransport, int] = {}

    def check(self, stream: Stream[Any, Any], path: str) -> None:
        """Refuse a call on a connection that has been overtaken."""
        epoch = self._spoken.get(_transport(stream))
        if epoch is not None and epoch < self.epoch and not path.endswith("/Hello"):
            raise self._refusal(epoch)

    def pass_in(self, stream: Stream[Any, Any], epoch: int, daemon_id: str) -> None:
        """Note a connection's epoch; a newer one than ever is kept on disk and cuts the older connections."""
        if epoch < self.epoch:
            raise self._refusal(epoch)
        if epoch > self.epoch:
            write_json(self._path, {"epoch": epoch, "daemon_id": daemon_id})
            self.epoch = epoch
        transport = _transport(stream)
        for other, spoken in list(self._spoken.items()):
            if other.is_closing() or spoken < epoch:
                del self._spoken[other]
                if other is not transport:
                    other.close()
        self._spoken[transport] = epoch

    def _refusal(self, epoch: int) -> errors.RemoteClaudeError:
        return errors.precondition(
            f"this sandbox belongs to a newer placement (epoch {self.epoch}, this daemon has {epoch})",
            "the task has moved; look at it where it runs now",
        )


class HealthService(HealthServiceBase):
    """What the link asks of the agent itself."""

    def __init__(
        self, fence: Fence, sessions: Sessions, service: SessionService, sampler: Sampler, stop: Callable[[], None]
    ) -> None:
        self._fence = fence
        self._sessions = sessions
        self._service = service
        self._sampler = sampler
        self._stop = stop
        self._instance = secrets.token_hex(8)

    async def Hello(self, stream: Stream[pb.HelloRequest, pb.HelloResponse]) -> None:
        """Versions and the fence."""
        request = await received(stream)
        if request.protocol_min > PROTOCOL_MAX or request.protocol_max < PROTOCOL_MIN:
            raise errors.unsupported(
                f"the agent speaks protocol {PROTOCOL_MIN} to {PROTOCOL_MAX}, "
                f"the daemon {request.protocol_min} to {request.protocol_max}"
            )
        self._fence.pass_in(stream, request.epoch, request.daemon_id)
        await stream.send_message(
            pb.HelloResponse(
                protocol=min(PROTOCOL_MAX, request.protocol_max),
                version=VERSION,
                features=FEATURES,
                instance_id=self._instance,
                workspace=os.fsencode(home.workspace()),
                home=os.fsencode(home.home()),
                state_directory=os.fsencode(os.path.dirname(self._sessions.root)),
                bundle=home.bundle_digest(),
                python=platform.python_version(),
                platform=f"{sys.platform} {platform.machine()}",
            )
        )

    async def Beat(self, stream: Stream[pb.BeatRequest, pb.BeatResponse]) -> None:
        """Answer every beat; a daemon that is silent for too long loses its connection."""
        while True:
            try:
                async with asyncio.timeout(BEAT_DEADLINE):
                    request = await stream.recv_message()
            except TimeoutError:
                _transport(stream).close()
                return
            if request is None:
                return
            newest = self._sampler.history[-1] if self._sampler.history else None
            await stream.send_message(pb.BeatResponse(number=request.number, stats=newest))

    async def WatchStats(self, stream: Stream[pb.WatchStatsRequest, pb.WatchStatsResponse]) -> None:
        """The history, then each new sample."""
        request = await received(stream)
        await self._sampler.sample()
        await stream.send_message(pb.WatchStatsResponse(stats=self._sampler.history))
        while request.follow:
            await asyncio.sleep(WATCHED)
            await stream.send_message(pb.WatchStatsResponse(stats=[await self._sampler.sample()]))

    async def Shutdown(self, stream: Stream[pb.ShutdownRequest, pb.ShutdownResponse]) -> None:
        """End the agent, and with `all` every session first."""
        request = await received(stream)
        if request.all:
            await self._service.close_all()
        await stream.send_message(pb.ShutdownResponse())
        # The answer leaves first.
        asyncio.get_running_loop().call_later(0.05, self._stop)


def _transport(stream: Stream[Any, Any]) -> asyncio.BaseTransport:
    # grpclib shows a call's connection nowhere else.
    transport: asyncio.BaseTransport = stream.peer._transport
    return transport
