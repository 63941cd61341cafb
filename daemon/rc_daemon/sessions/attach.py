"""AttachSession, answered from the mirror: by offset, exactly once, whatever became of the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from rc_daemon.links import Links
from rc_daemon.links.calls import unary
from rc_daemon.sessions.mirror import Mirrors
from rc_daemon.sessions.mirrored import MirroredSession, Need
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import LinkState
from rc_protos.stream.marks import Mark
from rc_protos.stream.segments import SegmentReader
from rc_protos.v1 import session_pb2 as pb

log = logging.getLogger("rc.attach")

# The task a sandbox belongs to; raises not_found.
FindTask = Callable[[str], Awaitable[str]]
Items = AsyncIterator[pb.AttachSessionResponse]
JIGGLE_SECONDS = 0.05
# How long a program may take to draw in a size before it gets the next.
JIGGLE_MOST = 1.0
WHOLE_SCREEN = b"\x1b7\x1b[r\x1b8"
INTRODUCTION_SECONDS = 2.0
LINK_SECONDS = 5.0
# How long a change of size waits for a link that is away.
RESIZE_SECONDS = 600.0
AGAIN_SECONDS = 0.2


class Attachments:
    """The use case behind AttachSession."""

    def __init__(self, mirrors: Mirrors, links: Links, find_task: FindTask) -> None:
        self._mirrors = mirrors
        self._links = links
        self._find_task = find_task
        links.listen(self._link_changed)

    async def attach(self, request: pb.AttachSessionRequest, sandbox_id: str) -> Items:
        """The session first, then data and marks in order, and the exit last."""
        for name, offset in (("out", request.out_offset), ("err", request.err_offset)):
            if offset < 0:
                raise errors.usage(f"the offset {offset} of {name} is negative")
        session = await self._session(request.session_id, sandbox_id)
        await _introduction(session)
        if request.screen:
            async for item in self._screen(request, session):
                yield item
            return
        yield pb.AttachSessionResponse(session=session.message)
        view = _View(session, request.out_offset, request.err_offset, only_out=request.only_out)
        # After a cut it may want again what was on its way: how much is not known here.
        need = session.needed_by(Need(view.read, lambda: 0)) if request.hold else contextlib.nullcontext()
        with need:
            async for item in view.items(follow=not request.no_follow):
                yield item
                session.was_read()

    def _link_changed(self, sandbox_id: str, state: LinkState) -> None:
        if state is LinkState.UP:
            self._mirrors.background.spawn(self._take_up(sandbox_id), f"take up the sessions of {sandbox_id}")

    async def _take_up(self, sandbox_id: str) -> None:
        """Whatever runs in a sandbox is mirrored, whether somebody has asked for it since we started or not."""
        try:
            task_id = await self._find_task(sandbox_id)
        except RemoteClaudeError as error:
            log.info("sandbox %s: %s", sandbox_id, error.message)
            return
        await self._mirrors.follow_all(sandbox_id, task_id)

    async def _session(self, session_id: str, sandbox_id: str) -> MirroredSession:
        found = self._mirrors.find(session_id)
        if found is not None and (found.over or not sandbox_id or self._mirrors.sandbox_of(session_id)):
            return found
        if not sandbox_id:
            raise errors.not_found(f"there is no session {session_id}")
        task_id = await self._find_task(sandbox_id)
        if found is None:
            await self._must_exist(session_id, sandbox_id)
        return self._mirrors.follow(sandbox_id, session_id, task_id)

    async def _must_exist(self, session_id: str, sandbox_id: str) -> None:
        link = self._links.get(sandbox_id)
        if link is None:
            raise errors.unavailable(f"sandbox {sandbox_id} does not run", "run: rc resume")
        await link.up(LINK_SECONDS)
        await unary(link.sessions.GetSession, pb.GetSessionRequest(session_id=session_id))

    async def _screen(self, request: pb.AttachSessionRequest, session: MirroredSession) -> Items:
        """Modes and a replay from a safe boundary, then a true change of size so that programs draw anew."""
        preamble, start = await asyncio.to_thread(self._mirrors.screens.replay, session)
        yield pb.AttachSessionResponse(session=session.message)
        yield pb.AttachSessionResponse(preamble=pb.ScreenPreamble(data=preamble, out_offset=start))
        view = _View(session, start, 0, only_out=True)
        async for item in _resized(view.items(follow=False, last=False)):
            yield item
        if not session.over:
            self._mirrors.background.spawn(self._resize(session, request.size), f"resize {session.id}")
        async for item in _resized(view.items(follow=not request.no_follow)):
            yield item

    async def _resize(self, session: MirroredSession, size: pb.TerminalSize) -> None:
        """Give the session this size, over cuts, unless somebody else gives it another one meanwhile."""
        if size.columns <= 0 or size.rows <= 0:
            return
        before = session.size
        mine = {before, *((each.columns, each.rows) for each in (size, _another(size)))}
        until = time.monotonic() + RESIZE_SECONDS
        while not session.over and session.size in mine and time.monotonic() < until:
            try:
                await self._jiggle(session, size)
                return
            except RemoteClaudeError as error:
                if error.code not in (ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT):
                    log.info("resize of %s: %s", session.id, error.message)
                    return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _jiggle(self, session: MirroredSession, size: pb.TerminalSize) -> None:
        link = self._links.get(self._mirrors.sandbox_of(session.id))
        if link is None:
            raise errors.unavailable("there is no link")
        await link.up(LINK_SECONDS)
        now = (await unary(link.sessions.GetSession, pb.GetSessionRequest(session_id=session.id))).session
        if now.size == size:
            # The same size would be no change, and nothing to a program that compares.
            end = session.end("out")
            other = pb.ResizeSessionRequest(session_id=session.id, size=_another(size))
            await unary(link.sessions.ResizeSession, other)
            # One that has not seen it yet would see two changes as none.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(JIGGLE_MOST):
                    await session.change(lambda: session.end("out") > end)
            await asyncio.sleep(JIGGLE_SECONDS)
        await unary(link.sessions.ResizeSession, pb.ResizeSessionRequest(session_id=session.id, size=size))


async def _resized(items: Items) -> Items:
    """A terminal whose size changes forgets its scroll region, and programs count on that; a viewer's may not."""
    async for item in items:
        yield item
        if item.mark.kind == "resize":
            at = item.mark.out_offset
            yield pb.AttachSessionResponse(preamble=pb.ScreenPreamble(data=WHOLE_SCREEN, out_offset=at))


class _View:
    """One caller's position in a session; nothing is read before the caller has taken what came before."""

    def __init__(self, session: MirroredSession, out: int, err: int, *, only_out: bool) -> None:
        self._session = session
        self._streams = {"out": out} if only_out else {"out": out, "err": err}
        self._marks_from = out
        self._marks_seen = 0

    def read(self) -> int:
        """The first byte of the output that was not read."""
        return self._streams["out"]

    async def items(self, *, follow: bool, last: bool = True) -> Items:
        """Everything from the position on; `last`: ends with the exit of a session that is over."""
        session = self._session
        readers = {name: session.reader(name) for name in self._streams}
        try:
            while True:
                over = session.over
                for name, reader in readers.items():
                    for item in self._stored(name, reader, session.end(name)):
                        yield item
                if over:
                    if last:
                        yield pb.AttachSessionResponse(exit=session.message.exit)
                    return
                if not follow:
                    return
                await session.change(self._news)
        finally:
            for reader in readers.values():
                reader.close()

    def _stored(self, name: str, reader: SegmentReader, end: int) -> Iterator[pb.AttachSessionResponse]:
        """Data up to the end, and each mark of the output where it stands."""
        while True:
            if name == "out":
                yield from self._marks()
            at = self._streams[name]
            if at >= end:
                return
            stop = int(min(end, self._next_mark())) if name == "out" else end
            data = self._session.piece(reader, at, stop)
            self._streams[name] += len(data)
            yield _data(name, at, data)

    def _next_mark(self) -> float:
        marks = self._session.marks
        return marks[self._marks_seen].out_offset if self._marks_seen < len(marks) else math.inf

    def _marks(self) -> Iterator[pb.AttachSessionResponse]:
        """The marks that stand at or before the position and were not told yet."""
        while self._marks_seen < len(self._session.marks):
            mark = self._session.marks[self._marks_seen]
            if mark.out_offset > self._streams["out"]:
                return
            self._marks_seen += 1
            if mark.out_offset >= self._marks_from:
                yield pb.AttachSessionResponse(mark=_mark(mark))

    def _news(self) -> bool:
        session = self._session
        more = any(session.end(name) > at for name, at in self._streams.items())
        return more or session.over or self._next_mark() <= self._streams["out"]


def _another(size: pb.TerminalSize) -> pb.TerminalSize:
    """Nearly the same size."""
    return pb.TerminalSize(columns=size.columns, rows=size.rows - 1 if size.rows > 1 else 2)


async def _introduction(session: MirroredSession) -> None:
    """A mirror that has just begun knows nothing yet: wait for its first news, briefly."""
    try:
        async with asyncio.timeout(INTRODUCTION_SECONDS):
            await session.change(lambda: session.introduced)
    except TimeoutError:
        return


def _data(stream: str, offset: int, data: bytes) -> pb.AttachSessionResponse:
    number = pb.STREAM_OUT if stream == "out" else pb.STREAM_ERR
    return pb.AttachSessionResponse(data=pb.SessionData(stream=number, offset=offset, data=data))


def _mark(mark: Mark) -> pb.SessionMark:
    message = pb.SessionMark(out_offset=mark.out_offset, kind=mark.kind, text=mark.text)
    if mark.columns:
        message.size.columns, message.size.rows = mark.columns, mark.rows
    message.time.FromNanoseconds(int(mark.time * 1e9))
    return message
