"""The provider `local`: sandboxes as process trees on the daemon's own host."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import ClassVar, ParamSpec, TypeVar

from rc_protos import errors, platform
from rc_protos.model import Isolation, Option
from rc_providers.base import ByteStream, Capability, Presence, Provider, Sandbox, SandboxInfo, SandboxSpec
from rc_providers.local import bubblewrap, process
from rc_providers.local.layout import Layout, Record
from rc_providers.local.stream import SocketStream

P = ParamSpec("P")
T = TypeVar("T")
TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
LOCK_SECONDS = 60.0
LOG_TAIL = 4000


class LocalProvider(Provider):
    """Bubblewrap by default on Linux; isolation `none` only when it is asked for."""

    name: ClassVar[str] = "local"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BIND, Capability.LOCAL})
    options: ClassVar[tuple[Option, ...]] = (
        Option(
            "isolation",
            "choice",
            "",
            "what separates the task from your files",
            choices=tuple(each.value for each in Isolation),
        ),
        Option("expose", "text", "", "host paths to show inside, read-only, separated by colons"),
    )

    async def create(self, spec: SandboxSpec) -> Sandbox:
        if not TAG.fullmatch(spec.tag):
            raise errors.usage(f"the sandbox tag {spec.tag!r} is not made of letters, digits and _.-")
        isolation = spec.isolation or default_isolation()
        if isolation not in set(Isolation):
            raise errors.usage(f"unknown isolation {isolation!r}", f"there are: {', '.join(Isolation)}")
        exposed = [part for part in spec.options.get("expose", "").split(":") if part]
        binds = tuple(os.path.expanduser(place) for place in [*map(str, spec.binds), *exposed])
        sandbox = LocalSandbox(Layout(self.root / spec.tag))
        await _blocking(sandbox.ensure, Record(spec.tag, spec.installation, isolation, binds))
        return sandbox

    async def check(self, isolation: str) -> Sequence[str]:
        if (isolation or default_isolation()) != Isolation.BUBBLEWRAP:
            return ["not isolated: this task can read and change everything you can"]
        await _blocking(bubblewrap.check)
        return ["isolated by bubblewrap: it sees its own workspace only; the network is open"]

    async def attach(self, external_id: str) -> Sandbox:
        sandbox = LocalSandbox(Layout(self.root / external_id))
        if not TAG.fullmatch(external_id) or sandbox.layout.record() is None:
            raise errors.not_found(f"there is no local sandbox {external_id}")
        return sandbox

    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        return await _blocking(self._list, installation)

    def _list(self, installation: str) -> Sequence[SandboxInfo]:
        if not self.root.is_dir():
            return []
        found = []
        for place in sorted(self.root.iterdir()):
            record = Layout(place).record()
            if record is not None and installation in ("", record.installation):
                found.append(_info(Layout(place), record))
        return found


class LocalSandbox(Sandbox):
    """One directory below the provider's root, and the processes its supervisor started."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    async def info(self) -> SandboxInfo:
        return await _blocking(_info, self.layout, self._record())

    async def open(self, argv: Sequence[str]) -> ByteStream:
        ours, theirs = socket.socketpair()
        try:
            await process.request(self.layout, argv, theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return SocketStream(ours)

    async def start(self) -> None:
        await _blocking(self.ensure, self._record())

    async def stop(self) -> None:
        await _blocking(self._end)

    async def destroy(self) -> None:
        await _blocking(self._destroy)

    async def logs(self) -> str:
        return await _blocking(self._logs)

    def ensure(self, wanted: Record) -> None:
        """Make what is missing and start the supervisor if it does not run; blocks."""
        self.layout.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked(make=True):
            if not process.running(self.layout):
                record = self.layout.record() or wanted
                self.layout.make(record)
                process.launch(self.layout, record)

    def _record(self) -> Record:
        record = self.layout.record()
        if record is None:
            raise errors.not_found(f"the sandbox {self.layout.directory.name} is gone")
        return record

    def _end(self) -> None:
        with self._locked():
            process.end(self.layout, self._record())

    def _destroy(self) -> None:
        with suppress(FileNotFoundError), self._locked():
            record = self.layout.record()
            if record is not None:
                process.end(self.layout, record)
            self.layout.remove()

    @contextmanager
    def _locked(self, *, make: bool = False) -> Iterator[None]:
        """One caller at a time for one sandbox, over processes; raises FileNotFoundError when it is gone."""
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            if make:
                self.layout.directory.mkdir(mode=0o700, exist_ok=True)
            with suppress(*([FileNotFoundError] if make else [])):
                descriptor = platform.lock(self.layout.lock)
                if descriptor is not None:
                    break
            if time.monotonic() > deadline:
                raise errors.timeout(f"another process works on the sandbox {self.layout.directory.name}")
            time.sleep(0.01)
        try:
            yield
        finally:
            os.close(descriptor)

    def _logs(self) -> str:
        ends = [platform.read_end(path, LOG_TAIL) for path in (self.layout.start_log, self.layout.log)]
        return "\n".join(end.decode("utf-8", "replace") for end in ends if end)


def default_isolation() -> str:
    """What a sandbox gets when nobody says."""
    return Isolation.BUBBLEWRAP if sys.platform == "linux" else Isolation.NONE


def _info(layout: Layout, record: Record) -> SandboxInfo:
    presence = Presence.RUNNING if process.running(layout) else Presence.STOPPED
    return SandboxInfo(
        external_id=layout.directory.name,
        tag=record.tag,
        installation=record.installation,
        presence=presence,
        workspace=layout.inside_workspace(record),
        home=layout.inside_home(record),
        isolation=record.isolation,
        notices=_notices(layout, record),
    )


def _notices(layout: Layout, record: Record) -> tuple[str, ...]:
    if record.isolation != Isolation.BUBBLEWRAP:
        return ("not isolated: the task can read and change everything you can",)
    supervisor = layout.supervisor()
    notices = ["the network is open: the task reaches what this machine reaches"]
    if supervisor is not None and supervisor.abstract_sockets:
        notices.append("abstract unix sockets of this machine are within reach (needs Linux 6.12 to be closed)")
    return tuple(notices)


async def _blocking(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    try:
        return await asyncio.to_thread(work, *arguments, **named)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise errors.exhausted(f"the disk of the local sandboxes is full: {error}", "run: rc gc") from error
        raise errors.unavailable(f"the local sandbox cannot be handled: {error}") from error
