"""A sandbox with a link into it, and on request mirrors and attachments: the daemon's middle, without its ends."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import tempfile
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rc_daemon.links import Identity, Links, SandboxLink, Timing
from rc_daemon.links.calls import opened, unary
from rc_daemon.sessions.attach import Attachments
from rc_daemon.sessions.mirror import CAP, Mirrors
from rc_protos.background import Background
from rc_protos.bundle import Bundle, build
from rc_protos.v1 import session_pb2 as pb
from rc_providers.base import ByteStream, Sandbox
from support.sandboxes import Place, place

TASK = "task1"
PATIENCE = 30.0
# Short enough for a test to see a silence end, long enough for a machine that is busy.
QUICK = Timing(tick=0.2, deadline=2.0, boot=30.0)


@functools.cache
def bundle() -> Bundle:
    """The agent's bundle, built once for every test of this user."""
    cache = Path(tempfile.gettempdir()) / f"rc-test-bundle-{os.getuid()}"
    cache.mkdir(mode=0o700, exist_ok=True)
    return build(cache)


def changed_bundle(directory: Path, file: str, old: bytes, new: bytes) -> Bundle:
    """Another version of the agent: one of its modules differs."""
    path = directory / "changed.zip"
    with zipfile.ZipFile(bundle().path) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        stem = Path(file).stem
        for entry in source.infolist():
            data = source.read(entry)
            if entry.filename == file:
                assert old in data
                data = data.replace(old, new)
            elif f"{Path(file).parent}/__pycache__/{stem}." in entry.filename:
                continue
            target.writestr(zipfile.ZipInfo(entry.filename), data, zipfile.ZIP_DEFLATED)
    data = path.read_bytes()
    return Bundle(path, hashlib.sha256(data).hexdigest(), len(data))


class Through(Sandbox):
    """A sandbox whose streams pass through something; for cutters, slow networks and pipes."""

    def __init__(self, inner: Sandbox) -> None:
        self.inner = inner

    async def info(self) -> Any:
        return await self.inner.info()

    async def open(self, argv: Sequence[str]) -> ByteStream:
        return await self.inner.open(argv)

    async def start(self) -> None:
        await self.inner.start()

    async def stop(self) -> None:
        await self.inner.stop()

    async def destroy(self) -> None:
        await self.inner.destroy()

    async def logs(self) -> str:
        return await self.inner.logs()


class Piped(Through):
    """As `docker exec` or ssh: stdin and stdout are two pipes."""

    async def open(self, argv: Sequence[str]) -> ByteStream:
        return await self.inner.open(["sh", "-c", 'cat | "$@" | cat', "sh", *argv])


@dataclass
class Linked:
    """Everything of one test."""

    place: Place
    sandbox: Sandbox
    links: Links
    mirrors: Mirrors
    attachments: Attachments
    background: Background
    root: Path
    sandbox_id: str = "sb1"
    written: dict[str, int] = field(default_factory=dict)

    @property
    def link(self) -> SandboxLink:
        """The one link."""
        link = self.links.get(self.sandbox_id)
        assert link is not None
        return link

    async def open(self, session_id: str, *argv: str | bytes, **fields: Any) -> None:
        """Open a session, asking again after a cut."""
        words = [word.encode() if isinstance(word, str) else word for word in argv]
        await self.link.up(PATIENCE)
        request = pb.OpenSessionRequest(session_id=session_id, argv=words, directory=b"/tmp", **fields)
        await unary(self.link.sessions.OpenSession, request)

    async def type(self, session_id: str, data: bytes, *, writer: str = "w", end: bool = False) -> None:
        """Type into a session and wait until the process has it."""
        key = f"{session_id}/{writer}"
        begin = self.written.get(key, 0)
        request = pb.WriteSessionRequest(session_id=session_id, writer_id=writer, from_byte=begin, data=data, end=end)
        await self.link.up(PATIENCE)
        async with asyncio.timeout(PATIENCE), opened(self.link.sessions.WriteSession.open()) as call:
            await call.send_message(request)
            while (await call.recv_message()).watermark < begin + len(data):
                pass
        self.written[key] = begin + len(data)

    def attach(self, session_id: str, **fields: Any) -> AsyncIterator[pb.AttachSessionResponse]:
        """Attach through the daemon's use case."""
        request = pb.AttachSessionRequest(session_id=session_id, **fields)
        return self.attachments.attach(request, self.sandbox_id)

    async def find_task(self, sandbox_id: str) -> str:
        """Every sandbox here belongs to one task."""
        return TASK

    def restarted(self, *, cap: int = CAP) -> None:
        """As after kill -9 of the daemon: other mirrors over the same files."""
        self.mirrors = Mirrors(self.links, self.root / "tasks", self.background, cap=cap)
        self.attachments = Attachments(self.mirrors, self.links, self.find_task)


@asynccontextmanager
async def linked(
    kind: str = "none",
    *,
    timing: Timing | None = None,
    through: Callable[[Sandbox], Sandbox] | None = None,
    cap: int = CAP,
) -> AsyncIterator[Linked]:
    """A sandbox of this kind and its link; all of it is gone afterwards."""
    async with place(kind) as where, Background("test") as background:
        sandbox = await where.create()
        if through is not None:
            sandbox = through(sandbox)
        links = Links(Identity("daemon1", "0.1.0", bundle()), timing)
        root = where.provider.root.parent
        mirrors = Mirrors(links, root / "tasks", background, cap=cap)
        made = Linked(where, sandbox, links, mirrors, None, background, root)  # type: ignore[arg-type]
        made.attachments = Attachments(mirrors, links, made.find_task)
        links.ensure(made.sandbox_id, sandbox)
        try:
            yield made
        finally:
            await made.mirrors.close()
            await links.close()


async def until(condition: Any, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
