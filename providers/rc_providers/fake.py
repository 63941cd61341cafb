"""A provider that forgets: sandboxes in this process's memory, plain child processes, faults on demand.

For tests and for authors of providers: it keeps the whole contract, gives streams without a descriptor (as a web socket
would), and does what a bad day does: a call fails, a stream is cut, a sandbox vanishes. It isolates nothing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rc_protos import errors, platform
from rc_providers.base import ByteStream, Capability, Presence, Provider, Sandbox, SandboxInfo, SandboxSpec
from rc_providers.local.stream import SocketStream

END_SECONDS = 10.0
LOG_TAIL = 4000


class FakeProvider(Provider):
    """Sandboxes that live as long as this object."""

    name: ClassVar[str] = "fake"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BIND, Capability.LOCAL})

    def __init__(self, root: Path, where: str = "") -> None:
        super().__init__(root, where)
        self.sandboxes: dict[str, FakeSandbox] = {}
        # Errors that the next calls of a name (create, attach, list, open, start, stop, destroy) raise, first first.
        self.faults: dict[str, list[Exception]] = {}

    async def create(self, spec: SandboxSpec) -> Sandbox:
        self.strike("create")
        if not spec.tag or "/" in spec.tag or spec.tag.startswith("."):
            raise errors.usage(f"the sandbox tag {spec.tag!r} is no name")
        if spec.tag not in self.sandboxes:
            self.sandboxes[spec.tag] = FakeSandbox(self, self.root / spec.tag, spec)
        await self.sandboxes[spec.tag].start()
        return self.sandboxes[spec.tag]

    async def attach(self, external_id: str) -> Sandbox:
        self.strike("attach")
        if external_id not in self.sandboxes:
            raise errors.not_found(f"there is no fake sandbox {external_id}")
        return self.sandboxes[external_id]

    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        self.strike("list")
        found = [await sandbox.info() for sandbox in self.sandboxes.values()]
        return [info for info in found if installation in ("", info.installation)]

    def strike(self, call: str) -> None:
        """Raise the fault that waits for this call, if there is one."""
        if self.faults.get(call):
            raise self.faults[call].pop(0)


class FakeSandbox(Sandbox):
    """A directory and the processes started in it."""

    def __init__(self, provider: FakeProvider, directory: Path, spec: SandboxSpec) -> None:
        self.directory = directory
        self._provider = provider
        self._streams: list[FakeStream] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._info = SandboxInfo(
            external_id=spec.tag,
            tag=spec.tag,
            installation=spec.installation,
            presence=Presence.STOPPED,
            workspace=str(directory / "workspace"),
            home=str(directory / "home"),
            isolation="none",
        )

    async def info(self) -> SandboxInfo:
        self._here()
        return self._info

    async def open(self, argv: Sequence[str]) -> ByteStream:
        self._here()
        self._provider.strike("open")
        if self._info.presence is not Presence.RUNNING:
            raise errors.unavailable(f"the sandbox {self._info.tag} does not run")
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.to_thread(self._spawn, list(argv), theirs)
            except OSError as error:
                ours.close()
                raise errors.not_found(f"cannot run {argv[0]} in the sandbox: {error.strerror}") from error
        stream = FakeStream(ours)
        self._streams.append(stream)
        self._processes.append(process)
        return stream

    async def start(self) -> None:
        self._here()
        self._provider.strike("start")
        for name in ("workspace", "home", "state"):
            (self.directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self._info = replace(self._info, presence=Presence.RUNNING)

    async def stop(self) -> None:
        self._here()
        self._provider.strike("stop")
        await self._end()
        self._info = replace(self._info, presence=Presence.STOPPED)

    async def destroy(self) -> None:
        self._provider.strike("destroy")
        await self.vanish()

    async def logs(self) -> str:
        with suppress(FileNotFoundError):
            return (self.directory / "log").read_bytes()[-LOG_TAIL:].decode("utf-8", "replace")
        return ""

    async def cut(self) -> None:
        """Break every open stream, as a network does; the processes live on."""
        for stream in self._streams:
            await stream.close()

    async def vanish(self) -> None:
        """Be destroyed from outside: processes and files are gone, and the provider knows nothing of it any more."""
        await self._end()
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)
        self._provider.sandboxes.pop(self._info.tag, None)

    def _here(self) -> None:
        if self._provider.sandboxes.get(self._info.tag) is not self:
            raise errors.not_found(f"the sandbox {self._info.tag} is gone")

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": self._info.home,
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "RC_STATE": str(self.directory / "state"),
            "RC_WORKSPACE": self._info.workspace,
            "RC_SANDBOX": self._mark,
        }

    @property
    def _mark(self) -> str:
        # Two fake providers may hold the same tag at the same time.
        return str(self.directory)

    def _spawn(self, argv: list[str], stream: socket.socket) -> subprocess.Popen[bytes]:
        with open(self.directory / "log", "ab") as log:
            return subprocess.Popen(
                argv,
                stdin=stream.fileno(),
                stdout=stream.fileno(),
                stderr=log,
                env=self._environment(),
                cwd=self._info.workspace,
                start_new_session=True,
            )

    async def _end(self) -> None:
        await asyncio.to_thread(_kill_marked, f"RC_SANDBOX={self._mark}")
        for process in self._processes:
            await asyncio.to_thread(process.wait, END_SECONDS)
        await self.cut()
        self._processes.clear()
        self._streams.clear()


class FakeStream(SocketStream):
    """As bytes only, with no descriptor to give away."""

    def socket_fd(self) -> int | None:
        return None


def _kill_marked(entry: str) -> None:
    """Kill whatever carries the mark until nothing does."""
    deadline = time.monotonic() + END_SECONDS
    while marked := [pid for pid in platform.with_environment(entry) if platform.start_time(pid)]:
        for pid in marked:
            platform.kill(pid)
        if time.monotonic() > deadline:
            raise errors.timeout(f"process {marked[0]} does not end")
        time.sleep(0.005)
