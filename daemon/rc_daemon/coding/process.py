"""One running process of a coding agent: its session opened once, its output read on, its input delivered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rc_daemon.coding.delivery import Delivery
from rc_daemon.links import Links
from rc_daemon.links.calls import unary
from rc_daemon.sessions.mirror import Mirrors
from rc_daemon.sessions.mirrored import MirroredSession, Need
from rc_daemon.store.store import Store
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import ExitStatus, TerminalSize
from rc_protos.v1 import session_pb2 as pb

log = logging.getLogger("rc.coding")
T = TypeVar("T")

CODING_AGENT, NATIVE = "coding-agent", "native"
GRACE_MILLISECONDS = 3000
CLOSE_SECONDS = 30.0
# Between two attempts while the disk is full.
FULL_SECONDS = 1.0
# Of stderr, what a person can use.
EVIDENCE_BYTES, EVIDENCE_LINES = 8192, 12

OnEnd = Callable[[ExitStatus, tuple[str, ...]], Awaitable[None]]


@dataclass(frozen=True)
class Reader:
    """Who reads a process."""

    # The first byte that is wanted, and the one that would be after a restart.
    offset: Callable[[], int]
    durable: Callable[[], int]
    # Takes bytes from an offset on; False: others are wanted.
    output: Callable[[int, bytes], Awaitable[bool]]
    # How it ended, with its last words.
    ended: OnEnd
    # Why nothing more can be read.
    failed: Callable[[str], Awaitable[None]]


class Process:
    """Attached to a session that has been opened."""

    def __init__(self, store: Store, links: Links, mirrors: Mirrors, sandbox_id: str, session_id: str) -> None:
        self.sandbox_id = sandbox_id
        self.session_id = session_id
        self.delivery = Delivery(store, links, sandbox_id, session_id)
        self._links = links
        self._mirrors = mirrors
        self._tasks: list[asyncio.Task[Any]] = []

    def attach(self, background: Background, task_id: str, reader: Reader) -> None:
        """Let the reader have its output, and deliver what is owed."""
        mirror = self._mirrors.follow(self.sandbox_id, self.session_id, task_id)
        self._tasks = [
            background.spawn(self._guarded(self._read(mirror, reader), reader), f"read {self.session_id}"),
            background.spawn(self.delivery.run(), f"deliver {self.session_id}"),
        ]

    def await_end(self, background: Background, task_id: str, on_end: OnEnd) -> None:
        """Tell of the end only."""
        mirror = self._mirrors.follow(self.sandbox_id, self.session_id, task_id)
        self._tasks = [background.spawn(self._end(mirror, on_end), f"end {self.session_id}")]

    def detach(self) -> None:
        """Stop reading and delivering; the process lives on."""
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    async def _read(self, mirror: MirroredSession, reader: Reader) -> None:
        async def copy() -> bool:
            async for start, data in mirror.read("out", reader.offset()):
                await self.delivery.room()
                if not await reader.output(start, data):
                    return False
                mirror.was_read()
            return True

        with mirror.needed_by(Need(reader.offset, reader.durable)):
            while not await self._with_room(copy):
                pass
        await self._end(mirror, reader.ended)

    async def _end(self, mirror: MirroredSession, on_end: OnEnd) -> None:
        status = await mirror.ended()
        await self._with_room(lambda: on_end(status, last_words(mirror)))

    async def _with_room(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, again and again while the disk is full: nothing was taken in by then, and nothing is lost."""
        while True:
            try:
                return await work()
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.EXHAUSTED:
                    raise
                log.warning("session %s: %s", self.session_id, error.message)
                await asyncio.sleep(FULL_SECONDS)

    async def _guarded(self, reading: Coroutine[Any, Any, None], reader: Reader) -> None:
        """A conversation that cannot be read on must not look as if it went on."""
        try:
            await reading
        except RemoteClaudeError as error:
            await reader.failed(error.message)
        except Exception:
            log.exception("session %s cannot be read", self.session_id)
            await reader.failed("a defect in rc; see: rc daemon logs")


async def open_session(
    links: Links,
    sandbox_id: str,
    session_id: str,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    directory: str,
    size: TerminalSize | None = None,
) -> None:
    """Open it in its sandbox, or find that it is open; raises unavailable without a link."""
    link = links.get(sandbox_id)
    if link is None:
        raise errors.unavailable(f"there is no link to sandbox {sandbox_id}")
    request = pb.OpenSessionRequest(
        session_id=session_id,
        name="coding-agent" if size is None else "native",
        kind=CODING_AGENT if size is None else NATIVE,
        argv=[word.encode("utf-8", "surrogateescape") for word in argv],
        environment={name: value.encode("utf-8", "surrogateescape") for name, value in environment.items()},
        directory=directory.encode("utf-8", "surrogateescape"),
        pty=size is not None,
    )
    if size is not None:
        request.size.columns, request.size.rows = size.columns, size.rows
    await unary(link.sessions.OpenSession, request)


async def close_session(links: Links, sandbox_id: str, session_id: str) -> None:
    """End its whole process tree; one that has ended is fine. Raises unavailable without a link."""
    link = links.get(sandbox_id)
    if link is None:
        raise errors.unavailable(f"there is no link to sandbox {sandbox_id}")
    request = pb.CloseSessionRequest(session_id=session_id, grace_milliseconds=GRACE_MILLISECONDS)
    try:
        await unary(link.sessions.CloseSession, request, timeout=CLOSE_SECONDS)
    except RemoteClaudeError as error:
        if error.code not in (ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION):
            raise


def last_words(mirror: MirroredSession) -> tuple[str, ...]:
    """The last lines of its stderr that say something."""
    end = mirror.end("err")
    reader = mirror.reader("err")
    try:
        text = reader.read(max(mirror.message.err_first, end - EVIDENCE_BYTES), EVIDENCE_BYTES) if end else b""
    finally:
        reader.close()
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines()]
    return tuple(line[:500] for line in lines if line)[-EVIDENCE_LINES:]
