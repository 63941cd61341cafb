"""Copies every session's log to the daemon's host as it streams; the one reader of each session in its sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path

from rc_daemon.links import Links, SandboxLink
from rc_daemon.links.calls import streaming, unary
from rc_daemon.sessions.mirrored import SANDBOX_FILE, MirroredSession
from rc_daemon.sessions.screen import Screens
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.model import ExitStatus
from rc_protos.v1 import session_pb2 as pb

log = logging.getLogger("rc.mirror")

CAP = 256 << 20
ACK_BYTES = 1 << 20
ACK_SECONDS = 2.0
LINK_SECONDS = 60.0
# A session that its agent does not know by then was never started, or its files are gone.
UNKNOWN_SECONDS = 10.0
PAUSE, LONGEST_PAUSE = 0.05, 5.0
# What people and their commands run, as opposed to what a task runs by itself.
_THEIRS = ("shell", "exec", "native")
# Scripts of the daemon itself, which reads them where they run.
_OURS = "system"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

OnEnded = Callable[[str, str, ExitStatus], None]


class Mirrors:
    """Every mirrored session, by its id.

    `on_ended(task_id, session_id, status)` is called in the loop for each end; after a restart again.
    """

    def __init__(self, links: Links, root: Path, background: Background, *, cap: int = CAP) -> None:
        self.background = background
        self.screens = Screens()
        self._links = links
        self._root = root
        self._cap = cap
        self._sessions: dict[str, MirroredSession] = {}
        self._followed: dict[str, str] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on_ended: OnEnded = lambda task_id, session_id, status: None

    def follow(self, sandbox_id: str, session_id: str, task_id: str) -> MirroredSession:
        """Mirror a session from where its mirror ends, until it is over; idempotent."""
        known = session_id in self._sessions
        session = self.open(session_id, task_id)
        if session.over:
            if not known:
                # We may have died between the end and the telling of it.
                self._tell(session)
        elif session_id not in self._tasks:
            session.found_in(sandbox_id)
            self._followed[session_id] = sandbox_id
            self._tasks[session_id] = self.background.spawn(self._mirror(sandbox_id, session), f"mirror {session_id}")
        return session

    async def follow_all(self, sandbox_id: str, task_id: str) -> None:
        """Mirror whatever others run in a sandbox whose link is up; nothing happens if it is cut meanwhile."""
        link = self._links.get(sandbox_id)
        if link is None:
            return
        try:
            found = (await unary(link.sessions.ListSessions, pb.ListSessionsRequest())).sessions
        except RemoteClaudeError as error:
            log.info("sessions of sandbox %s: %s", sandbox_id, error.message)
            return
        for session in found:
            if _ID.fullmatch(session.id) and session.kind != _OURS:
                self.follow(sandbox_id, session.id, task_id)

    def find(self, session_id: str) -> MirroredSession | None:
        """A mirror that is open or on disk."""
        if session_id in self._sessions:
            return self._sessions[session_id]
        if _ID.fullmatch(session_id):
            for place in self._root.glob(f"*/sessions/{session_id}"):
                return self.open(session_id, place.parent.parent.name)
        return None

    def open(self, session_id: str, task_id: str) -> MirroredSession:
        """The mirror of a session, made empty if there is none."""
        if session_id not in self._sessions:
            if not _ID.fullmatch(session_id) or not _ID.fullmatch(task_id):
                raise errors.usage(f"{session_id!r} is not a session id")
            directory = self._root / task_id / "sessions" / session_id
            session = MirroredSession(
                directory,
                session_id,
                task_id,
                on_expire=lambda offset: self.screens.keep_modes(self._sessions[session_id], offset),
            )
            self._sessions[session_id] = session
        return self._sessions[session_id]

    def sandbox_of(self, session_id: str) -> str:
        """The sandbox a followed session runs in; empty when it is not followed."""
        return self._followed.get(session_id, "")

    def busy(self, sandbox_id: str) -> bool:
        """Somebody's shell or command runs in the sandbox."""
        mine = [self._sessions[each] for each, where in self._followed.items() if where == sandbox_id]
        return any(not each.over and each.kind in _THEIRS for each in mine)

    def lost(self, sandbox_id: str, reason: str = "sandbox lost") -> None:
        """The sandbox is gone: end every session of it that had not ended, those of before a restart too."""
        for place in list(self._root.glob(f"*/sessions/*/{SANDBOX_FILE}")):
            if place.read_text("ascii") != sandbox_id:
                continue
            session = self.open(place.parent.name, place.parent.parent.parent.name)
            if not session.over:
                self._stop(session.id)
                session.finish(pb.ExitStatus(lost=reason))
                self._tell(session)

    def forget(self, task_id: str) -> None:
        """Close the mirrors of a removed task; its files are for the caller to remove."""
        for session in [each for each in self._sessions.values() if each.task_id == task_id]:
            self._stop(session.id)
            session.close()
            del self._sessions[session.id]

    async def close(self) -> None:
        """Stop mirroring; sessions live on in their sandboxes."""
        for session_id in list(self._tasks):
            self._stop(session_id)
        for session in self._sessions.values():
            session.close()

    def _stop(self, session_id: str) -> None:
        task = self._tasks.pop(session_id, None)
        self._followed.pop(session_id, None)
        if task is not None:
            task.cancel()

    def _tell(self, session: MirroredSession) -> None:
        assert session.exit is not None
        self.on_ended(session.task_id, session.id, session.exit)

    async def _mirror(self, sandbox_id: str, session: MirroredSession) -> None:
        """Attach again after every cut, until the session is over."""
        pause, unknown_since = PAUSE, 0.0
        while not session.over:
            before = session.end("out") + session.end("err")
            try:
                link = self._links.get(sandbox_id)
                if link is None:
                    raise errors.unavailable(f"there is no link to sandbox {sandbox_id}")
                await link.up(LINK_SECONDS)
                unknown_since = await self._copy(link, session, unknown_since)
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    log.warning("mirror of %s: %s", session.id, error.message)
            except OSError as error:
                log.warning("mirror of %s: %s", session.id, error)
            if session.end("out") + session.end("err") > before:
                pause = PAUSE
            if not session.over:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                pause = min(pause * 2, LONGEST_PAUSE)
        self._tasks.pop(session.id, None)
        self._followed.pop(session.id, None)
        self._tell(session)

    async def _copy(self, link: SandboxLink, session: MirroredSession, unknown_since: float) -> float:
        """Copy until the session or the stream ends; gives the time since when the sandbox does not know it, or 0."""
        try:
            await Copy(link, session, self._cap).run(self.background)
        except RemoteClaudeError as error:
            if error.code is ErrorCode.PRECONDITION:
                await _catch_up(link, session)
            elif error.code is ErrorCode.NOT_FOUND:
                since = unknown_since or time.monotonic()
                if time.monotonic() - since > UNKNOWN_SECONDS:
                    session.finish(pb.ExitStatus(lost="the sandbox does not know the session"))
                return since
            else:
                raise
        return 0.0


class Copy:
    """One attachment to a session in its sandbox, and the acknowledgements that go back."""

    def __init__(self, link: SandboxLink, session: MirroredSession, cap: int) -> None:
        self._link = link
        self._session = session
        self._cap = cap
        self._some = asyncio.Event()
        self._much = asyncio.Event()

    async def run(self, background: Background) -> None:
        """Take everything until the session or the stream ends."""
        session = self._session
        request = pb.AttachSessionRequest(
            session_id=session.id, out_offset=session.end("out"), err_offset=session.end("err")
        )
        acks = background.spawn(self._acks(), f"acknowledge {session.id}")
        unacked = 0
        try:
            async for item in streaming(self._link.sessions.AttachSession, request):
                new = session.take(item)
                if new:
                    unacked += new
                    self._some.set()
                if unacked >= ACK_BYTES or item.mark.kind == "blocked":
                    unacked = 0
                    self._some.set()
                    self._much.set()
                # Its process is made to wait, in the sandbox: what is not processed would be lost.
                await session.room(self._cap)
        finally:
            acks.cancel()
        if session.over:
            await self._ack()

    async def _acks(self) -> None:
        """Tell what is safe here after so many bytes or seconds; an idle session is left alone."""
        try:
            while True:
                await self._some.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(ACK_SECONDS):
                        await self._much.wait()
                self._some.clear()
                self._much.clear()
                self._session.bound(self._cap)
                await self._ack()
        except RemoteClaudeError as error:
            # A cut, which the attachment sees too.
            log.debug("acknowledging %s: %s", self._session.id, error.message)

    async def _ack(self) -> None:
        session = self._session
        request = pb.AckMirrorRequest(
            session_id=session.id, out_offset=session.end("out"), err_offset=session.end("err")
        )
        failpoint("mirror.ack.before")
        try:
            await unary(self._link.sessions.AckMirror, request)
            failpoint("mirror.ack.after")
        except RemoteClaudeError as error:
            if error.code is ErrorCode.UNAVAILABLE:
                raise
            # A holder that has ended with its session needs not know.
            log.debug("acknowledging %s: %s", session.id, error.message)


async def _catch_up(link: SandboxLink, session: MirroredSession) -> None:
    """The sandbox does not have the bytes that come next here: go on with what it has, and say so."""
    request = pb.GetSessionRequest(session_id=session.id)
    theirs = (await unary(link.sessions.GetSession, request)).session
    if theirs.out_end < session.end("out") or theirs.err_end < session.end("err"):
        session.finish(pb.ExitStatus(lost="the sandbox has less of the session than its mirror"))
    else:
        session.skip_to(theirs.out_first, theirs.err_first)
