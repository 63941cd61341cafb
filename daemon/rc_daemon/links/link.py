"""One connection into one sandbox, kept up: boot, hello, heartbeat, reconnect."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NoReturn

from rc_daemon.links.calls import opened, trailers, unary
from rc_daemon.links.channel import RawChannel, StreamChannel, as_channel
from rc_daemon.links.framed import FramedStream
from rc_daemon.links.http2 import CUT
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.bundle import Bundle
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import LinkState
from rc_protos.stream.boot import ASCII, RAW, Boot, Failed, Ready, Send
from rc_protos.v1 import health_pb2
from rc_protos.v1.file_grpc import FileServiceStub
from rc_protos.v1.health_grpc import HealthServiceStub
from rc_protos.v1.session_grpc import SessionServiceStub
from rc_providers.base import ByteStream, Sandbox

log = logging.getLogger("rc.link")

PROTOCOL = 1


@dataclass(frozen=True)
class Timing:
    """Seconds; the heartbeat of the design: tick 3, deadline 10."""

    tick: float = 3.0
    deadline: float = 10.0
    boot: float = 60.0
    first_pause: float = 0.05
    longest_pause: float = 5.0


@dataclass(frozen=True)
class Identity:
    """What a daemon says of itself to every agent."""

    daemon_id: str
    version: str
    bundle: Bundle


class SandboxLink:
    """States connecting, up, down; replaces its byte stream as often as needed."""

    def __init__(
        self,
        sandbox_id: str,
        sandbox: Sandbox,
        epoch: int,
        identity: Identity,
        on_change: Callable[[str, LinkState], None],
        *,
        timing: Timing | None = None,
    ) -> None:
        self.id = sandbox_id
        self.sandbox = sandbox
        self.epoch = epoch
        self.state = LinkState.CONNECTING
        self.since = datetime.now(UTC)
        self.last_error = ""
        # What the agent said of itself when the link came up last.
        self.hello: health_pb2.HelloResponse | None = None
        self.timing = timing or Timing()
        self._identity = identity
        self._on_change = on_change
        self._channel: StreamChannel | None = None
        self._raw: RawChannel | None = None
        # The newest sample of what its processes use, while the link is up.
        self.stats: health_pb2.Stats | None = None
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()
        self._fatal: RemoteClaudeError | None = None
        self._ups = 0
        # An agent that we cannot speak to is replaced once; if that does not help, we are the wrong one.
        self._replaced = False
        self._background = Background(f"link {sandbox_id}")
        self._background.spawn(self._keep_up(), "keep up")

    @property
    def reconnects(self) -> int:
        """How often it came up again after a cut."""
        return max(0, self._ups - 1)

    @property
    def sessions(self) -> SessionServiceStub:
        """Raises unavailable while the link is not up."""
        return SessionServiceStub(self._up_channel())

    @property
    def files(self) -> FileServiceStub:
        """Raises unavailable while the link is not up."""
        return FileServiceStub(self._up_channel())

    @property
    def health(self) -> HealthServiceStub:
        """Raises unavailable while the link is not up."""
        return HealthServiceStub(self._up_channel())

    @property
    def raw(self) -> RawChannel:
        """For messages that are bytes; raises unavailable while the link is not up."""
        self._up_channel()
        assert self._raw is not None
        return self._raw

    async def up(self, timeout: float) -> None:
        """Wait until the link is up; raises unavailable at the deadline, or what makes it hopeless."""
        self._hurry.set()
        try:
            async with asyncio.timeout(timeout):
                while self.state is not LinkState.UP:
                    if self._fatal is not None:
                        raise self._fatal
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise self._not_up() from None

    def move(self, sandbox: Sandbox, epoch: int) -> None:
        """Reach the sandbox through this object from now on; a newer placement is greeted anew."""
        self.sandbox = sandbox
        if epoch != self.epoch:
            self.epoch = epoch
            self._hurry.set()
            self.cut()

    def cut(self) -> None:
        """Drop the present byte stream; a new one is made at once."""
        if self._channel is not None:
            self._channel.close()

    async def close(self) -> None:
        """End the link; the agent and its sessions live on."""
        await self._background.close()
        self._drop()
        self._to(LinkState.DOWN, "closed")

    def _up_channel(self) -> StreamChannel:
        if self.state is not LinkState.UP or self._channel is None:
            raise self._fatal or self._not_up()
        return self._channel

    def _not_up(self) -> RemoteClaudeError:
        why = f": {self.last_error}" if self.last_error else ""
        return errors.unavailable(
            f"the link to sandbox {self.id} is {self.state}{why}", "it heals by itself; try again"
        )

    async def _keep_up(self) -> None:
        pause = 0.0
        while True:
            began, ups = time.monotonic(), self._ups
            reason = await self._try()
            self._drop()
            self._to(LinkState.DOWN, reason)
            if self._ups > ups:
                # It was up: no reason to be patient, unless it never stays up.
                pause = 0.0 if time.monotonic() - began > self.timing.tick else self.timing.first_pause
            await self._rest(pause)
            pause = min(max(pause * 2, self.timing.first_pause), self.timing.longest_pause)

    async def _try(self) -> str:
        """One byte stream's life; why it ended."""
        try:
            await self._once()
        except RemoteClaudeError as error:
            self._fatal = error if _hopeless(error) else None
            return error.message
        except (OSError, EOFError) as error:
            self._fatal = None
            return str(error) or type(error).__name__
        except Exception as error:
            # A defect must not end the link for good.
            log.exception("link %s", self.id)
            self._fatal = None
            return f"{type(error).__name__}: {error}"

    async def _rest(self, pause: float) -> None:
        """Wait before the next try; somebody who begins to wait for the link cuts it short."""
        if not pause:
            return
        self._hurry.clear()
        try:
            async with asyncio.timeout(pause * random.uniform(0.5, 1.5)):  # noqa: S311 - jitter
                await self._hurry.wait()
                await asyncio.sleep(self.timing.first_pause)
        except TimeoutError:
            return

    async def _once(self) -> NoReturn:
        """Connect, greet, be up; returns by raising."""
        try:
            async with asyncio.timeout(self.timing.boot):
                channel = await self._connect()
                self._channel, self._raw = channel, channel.raw()
                self.hello = await self._greet(channel)
        except TimeoutError:
            raise errors.timeout(f"the agent in the sandbox was not ready within {self.timing.boot:g} s") from None
        except RemoteClaudeError as error:
            if error.code is ErrorCode.UNSUPPORTED and not self._replaced:
                self._replaced = True
                await self._replace(error.message)
            raise
        if self.hello.bundle and self.hello.bundle != self._identity.bundle.digest:
            await self._replace(f"the agent in the sandbox is of another version ({self.hello.version})")
        self._fatal, self._replaced = None, False
        self._ups += 1
        self._to(LinkState.UP, "")
        await self._beat(channel)

    async def _replace(self, why: str) -> NoReturn:
        """Have the agent step down, so that the next stream starts ours; sessions belong to their holders and go on."""
        assert self._channel is not None
        await unary(
            HealthServiceStub(self._channel).Shutdown,
            health_pb2.ShutdownRequest(all=False),
            timeout=self.timing.deadline,
        )
        # Its streams end once it listens no more: whoever came sooner would meet it again.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.timing.deadline):
                await self._channel.lost.wait()
        raise errors.unavailable(f"{why}; it is being replaced, sessions go on")

    async def _connect(self) -> StreamChannel:
        bundle = self._identity.bundle
        wire = RAW if self.sandbox.clean_8bit else ASCII
        boot = Boot(bundle.digest, bundle.size, bundle.read, secrets.token_hex(6), str(bundle.directory), wire=wire)
        stream = await self.sandbox.open(boot.argv)
        try:
            first = await _ready(boot, stream)
            if wire == ASCII:
                stream, first = FramedStream(stream, first), b""
            return await as_channel(stream, first, self._background, self.id)
        except BaseException:
            await stream.close()
            raise

    async def _greet(self, channel: StreamChannel) -> health_pb2.HelloResponse:
        request = health_pb2.HelloRequest(
            protocol_min=PROTOCOL,
            protocol_max=PROTOCOL,
            version=self._identity.version,
            features=("sessions", "files"),
            daemon_id=self._identity.daemon_id,
            epoch=self.epoch,
        )
        answer: health_pb2.HelloResponse = await unary(
            HealthServiceStub(channel).Hello, request, timeout=self.timing.deadline
        )
        return answer

    async def _beat(self, channel: StreamChannel) -> NoReturn:
        """Heartbeats until the stream is cut or silent for too long; then raises."""
        number = 0
        async with opened(HealthServiceStub(channel).Beat.open()) as stream:
            while True:
                number += 1
                try:
                    async with asyncio.timeout(self.timing.deadline):
                        await stream.send_message(health_pb2.BeatRequest(number=number))
                        answer = await stream.recv_message()
                        if answer is None:
                            await trailers(stream)
                            raise errors.unavailable("the agent ended the heartbeat")
                        self.stats = answer.stats if answer.HasField("stats") else None
                except TimeoutError:
                    raise errors.timeout(f"the agent was silent for {self.timing.deadline:g} s") from None
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.timing.tick):
                        await channel.lost.wait()
                    raise errors.unavailable(CUT)

    def _drop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        self._channel = self._raw = self.stats = None

    def _to(self, state: LinkState, error: str) -> None:
        self.last_error = error
        if state is self.state:
            self._changed.set()
            return
        log.info("link %s: %s -> %s %s", self.id, self.state, state, error)
        self.state = state
        self.since = datetime.now(UTC)
        self._changed.set()
        self._on_change(self.id, state)


async def _ready(boot: Boot, stream: ByteStream) -> bytes:
    """Run the boot dialogue; gives bytes of HTTP/2 that came with its end, raises with the sandbox's own words."""
    while True:
        data = await stream.read()
        for action in boot.feed(data) if data else boot.eof():
            if isinstance(action, Send):
                await stream.write(action.data)
            elif isinstance(action, Failed):
                raise errors.unavailable(f"the agent does not start in the sandbox: {action.reason}")
            elif isinstance(action, Ready):
                return action.rest


def _hopeless(error: RemoteClaudeError) -> bool:
    """Trying again cannot help: the fence, a version, a sandbox that is gone."""
    return error.code in (ErrorCode.PRECONDITION, ErrorCode.UNSUPPORTED, ErrorCode.NOT_FOUND)
