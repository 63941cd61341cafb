"""The provider `ssh`: a sandbox on another host is a local sandbox there."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Isolation
from rc_providers.base import ByteStream, Presence, Provider, Sandbox, SandboxInfo, SandboxSpec
from rc_providers.local.stream import SocketStream
from rc_providers.ssh.host import Host
from rc_providers.ssh.pump import as_socket

T = TypeVar("T")
# To connect, to have our program sent and an answer made: a create waits for bubblewrap there.
REQUEST_SECONDS = 90.0


class SshProvider(Provider):
    """Sandboxes on one host, over as few connections as it allows."""

    name: ClassVar[str] = "ssh"
    target: ClassVar[str] = "host"
    target_needed: ClassVar[bool] = True

    def __init__(self, root: Path, where: str = "") -> None:
        super().__init__(root, where)
        # A host that another one jumps through has its key here too.
        self.host = Host(where, root.parent / ".known_hosts")

    async def add(self, accept_key: str) -> None:
        if accept_key:
            await self.blocking(partial(self.host.accept, accept_key))

    async def remove(self) -> None:
        await self.blocking(self.host.forget)

    async def create(self, spec: SandboxSpec) -> Sandbox:
        made = await self.ask(do="create", tag=spec.tag, installation=spec.installation, isolation=spec.isolation)
        return SshSandbox(self, _info(made).external_id)

    async def check(self, isolation: str) -> Sequence[str]:
        told = await self.ask(do="check", isolation=isolation)
        if told["isolation"] == Isolation.BUBBLEWRAP:
            first = f"isolated by bubblewrap on {self.where}: it sees its own workspace only; the network is open"
        else:
            first = f"not isolated on {self.where}: this task can read and change everything that you can there"
        return [first, *told["notices"]]

    async def attach(self, external_id: str) -> Sandbox:
        await self.ask(do="info", id=external_id)
        return SshSandbox(self, external_id)

    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        return [_info(each) for each in await self.ask(do="list", installation=installation)]

    async def close(self) -> None:
        await self.blocking(self.host.close)

    async def ask(self, **request: Any) -> Any:
        """What the host answers to one request."""
        async with self.deadline():
            return await self.blocking(partial(self.host.ask, **request))

    @asynccontextmanager
    async def deadline(self) -> AsyncIterator[None]:
        """Raise timeout when the host takes too long; the thread that waits for it ends with the connection."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                yield
        except TimeoutError:
            raise errors.timeout(f"{self.where} did not answer within {REQUEST_SECONDS:g} s") from None

    def blocking(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do it on a thread of its own: a host that does not answer shall keep nobody else waiting, nor our end."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:
                tell = partial(_fail, done, error)
            else:
                tell = partial(_settle, done, result)
            with suppress(RuntimeError):
                # Unless the loop has ended.
                loop.call_soon_threadsafe(tell)

        threading.Thread(target=run, name=f"ssh {self.where}", daemon=True).start()
        return done


class SshSandbox(Sandbox):
    """One sandbox on a host."""

    def __init__(self, provider: SshProvider, external_id: str) -> None:
        self._provider = provider
        self._id = external_id

    async def info(self) -> SandboxInfo:
        return _info(await self._ask("info"))

    async def open(self, argv: Sequence[str]) -> ByteStream:
        opening = self._provider.blocking(partial(self._open, list(argv)))
        try:
            async with self._provider.deadline():
                return SocketStream(await asyncio.shield(opening))
        except (asyncio.CancelledError, RemoteClaudeError):
            # A thread cannot be stopped: what it opens is closed.
            opening.add_done_callback(_close)
            raise

    async def start(self) -> None:
        await self._ask("start")

    async def stop(self) -> None:
        await self._ask("stop")

    async def destroy(self) -> None:
        try:
            await self._ask("destroy")
        except RemoteClaudeError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise

    async def logs(self) -> str:
        return str(await self._ask("logs"))

    async def _ask(self, do: str) -> Any:
        return await self._provider.ask(do=do, id=self._id)

    def _open(self, argv: list[str]) -> socket.socket:
        channel, first = self._provider.host.open(do="open", id=self._id, argv=argv)
        return as_socket(channel, first, self._id)


def _settle(done: asyncio.Future[T], result: T) -> None:
    if not done.cancelled():
        done.set_result(result)


def _fail(done: asyncio.Future[T], error: BaseException) -> None:
    if not done.cancelled():
        done.set_exception(error)


def _close(opening: asyncio.Future[socket.socket]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _info(answer: dict[str, Any]) -> SandboxInfo:
    return SandboxInfo(**answer | {"presence": Presence(answer["presence"]), "notices": tuple(answer["notices"])})
