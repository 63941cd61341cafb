"""The provider `ssh`: a sandbox on another host is a local sandbox there."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Isolation
from rc_providers.base import ByteStream, Capability, Presence, Provider, Sandbox, SandboxInfo, SandboxSpec
from rc_providers.local.stream import SocketStream
from rc_providers.ssh.host import Host
from rc_providers.ssh.pump import as_socket

T = TypeVar("T")
# Requests to one host at a time; streams have threads of their own.
REQUESTS = 8


class SshProvider(Provider):
    """Sandboxes on one host, over as few connections as it allows."""

    name: ClassVar[str] = "ssh"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.STOP})
    target: ClassVar[str] = "host"
    target_needed: ClassVar[bool] = True

    def __init__(self, root: Path, where: str = "") -> None:
        super().__init__(root, where)
        # A host that another one jumps through has its key here too.
        self.host = Host(where, root.parent / ".known_hosts")
        # Its waits shall not take the threads of everybody else.
        self._threads = ThreadPoolExecutor(REQUESTS, f"ssh {where}")

    async def add(self, accept_key: str) -> None:
        if accept_key:
            await self.blocking(partial(self.host.accept, accept_key))

    async def remove(self) -> None:
        await self.blocking(self.host.forget)

    async def create(self, spec: SandboxSpec) -> Sandbox:
        made = await self.ask(do="create", tag=spec.tag, installation=spec.installation, isolation=spec.isolation)
        return SshSandbox(self, _info(made).external_id)

    async def check(self, isolation: str) -> Sequence[str]:
        if await self.ask(do="check", isolation=isolation) == Isolation.BUBBLEWRAP:
            return [f"isolated by bubblewrap on {self.where}: it sees its own workspace only; the network is open"]
        return [f"not isolated on {self.where}: this task can read and change everything that you can there"]

    async def attach(self, external_id: str) -> Sandbox:
        await self.ask(do="info", id=external_id)
        return SshSandbox(self, external_id)

    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        return [_info(each) for each in await self.ask(do="list", installation=installation)]

    async def close(self) -> None:
        await self.blocking(self.host.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, **request: Any) -> Any:
        """What the host answers to one request."""
        return await self.blocking(partial(self.host.ask, **request))

    def blocking(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do it on one of the host's threads."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


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
            return SocketStream(await asyncio.shield(opening))
        except asyncio.CancelledError:
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


def _close(opening: asyncio.Future[socket.socket]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _info(answer: dict[str, Any]) -> SandboxInfo:
    return SandboxInfo(**answer | {"presence": Presence(answer["presence"]), "notices": tuple(answer["notices"])})
