"""SessionService: sessions opened, shown, written to and ended."""

# ruff: noqa: N802 - methods are named by the proto
from __future__ import annotations

import asyncio
import signal
from typing import Any

from grpclib.server import Stream

from rc_agent.calls import received
from rc_agent.sessions.describe import describe
from rc_agent.sessions.input import WriterCall
from rc_agent.sessions.link import HolderGone, HolderLink
from rc_agent.sessions.output import Attachment
from rc_agent.sessions.start import start_holder
from rc_agent.sessions.store import Sessions
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.v1 import session_pb2 as pb
from rc_protos.v1.session_grpc import SessionServiceBase

_DEFAULT_GRACE = 2000
# What a holder may take, beyond the grace time, to see the last process of its tree go.
_AFTER_GRACE = 8.0
_ENDED = "the session has ended"
# The kind of what the daemon runs for itself.
SYSTEM = "system"


class SessionService(SessionServiceBase):
    """Keeps no state of its own: every call looks at the directories and asks the holders."""

    def __init__(self, sessions: Sessions, background: Background) -> None:
        self._sessions = sessions
        self._background = background
        self._opening: dict[str, asyncio.Lock] = {}

    async def OpenSession(self, stream: Stream[pb.OpenSessionRequest, pb.OpenSessionResponse]) -> None:
        """Start a session, or show the one that has this id already."""
        request = await received(stream)
        if not request.argv:
            raise errors.usage("a session needs a command")
        lock = self._opening.setdefault(request.session_id, asyncio.Lock())
        try:
            async with lock:
                # A caller that gives up must not leave a half-started session behind.
                await asyncio.shield(self._background.spawn(self._open(request), f"open {request.session_id}"))
        finally:
            if not lock.locked():
                self._opening.pop(request.session_id, None)
        await stream.send_message(pb.OpenSessionResponse(session=await self.show(request.session_id)))

    async def ListSessions(self, stream: Stream[pb.ListSessionsRequest, pb.ListSessionsResponse]) -> None:
        """All sessions, ended ones too."""
        await received(stream)
        found = [await self.show(session_id) for session_id in self._sessions.ids()]
        await stream.send_message(pb.ListSessionsResponse(sessions=found))

    async def GetSession(self, stream: Stream[pb.GetSessionRequest, pb.GetSessionResponse]) -> None:
        """One session."""
        request = await received(stream)
        await stream.send_message(pb.GetSessionResponse(session=await self.show(request.session_id)))

    async def AttachSession(self, stream: Stream[pb.AttachSessionRequest, pb.AttachSessionResponse]) -> None:
        """Output from an offset on."""
        request = await received(stream)
        if request.screen:
            raise errors.unsupported("an agent does not draw screens", "attach through the daemon")
        attachment = Attachment(self._sessions, request)
        try:
            async for item in attachment.items():
                await stream.send_message(item)
        finally:
            attachment.close()

    async def WriteSession(self, stream: Stream[pb.WriteSessionRequest, pb.WriteSessionResponse]) -> None:
        """Numbered input."""
        first = await received(stream)
        if not first.writer_id:
            raise errors.usage("input needs a writer id")
        async with await self._link(first.session_id) as link:
            await WriterCall(stream, link, first).run(self._background)

    async def ResizeSession(self, stream: Stream[pb.ResizeSessionRequest, pb.ResizeSessionResponse]) -> None:
        """Change the terminal's size."""
        request = await received(stream)
        size = request.size
        if not (0 < size.columns < 65536 and 0 < size.rows < 65536):
            raise errors.usage(f"{size.columns}x{size.rows} is not a terminal size")
        await self._ask(request.session_id, {"t": "resize", "columns": size.columns, "rows": size.rows})
        await stream.send_message(pb.ResizeSessionResponse())

    async def SignalSession(self, stream: Stream[pb.SignalSessionRequest, pb.SignalSessionResponse]) -> None:
        """Signal the foreground process group."""
        request = await received(stream)
        if request.signal not in {int(known) for known in signal.valid_signals()}:
            raise errors.usage(f"{request.signal} is not a signal")
        await self._ask(request.session_id, {"t": "signal", "signal": request.signal})
        await stream.send_message(pb.SignalSessionResponse())

    async def CloseSession(self, stream: Stream[pb.CloseSessionRequest, pb.CloseSessionResponse]) -> None:
        """End the whole process tree; of rc's own scripts nothing is kept, or their remains would pile up."""
        request = await received(stream)
        self._sessions.existing(request.session_id)
        await self.close(request.session_id, request.grace_milliseconds)
        session = await self.show(request.session_id)
        if session.kind == SYSTEM:
            self._sessions.discard(request.session_id)
        await stream.send_message(pb.CloseSessionResponse(session=session))

    async def AckMirror(self, stream: Stream[pb.AckMirrorRequest, pb.AckMirrorResponse]) -> None:
        """What is safe on the host may expire here."""
        request = await received(stream)
        record = self._sessions.exit(request.session_id)
        if record is None:
            await self._ask(request.session_id, {"t": "ack", "out": request.out_offset, "err": request.err_offset})
        elif request.out_offset >= record["out_end"] and request.err_offset >= record["err_end"]:
            self._sessions.forget_bytes(request.session_id)
        await stream.send_message(pb.AckMirrorResponse())

    async def show(self, session_id: str) -> pb.Session:
        """A session as it is now."""
        if self._sessions.exit(session_id) is not None:
            return describe(self._sessions, session_id)
        try:
            async with await HolderLink.connect(self._sessions.existing(session_id)) as link:
                return describe(self._sessions, session_id, await link.state())
        except HolderGone:
            return describe(self._sessions, session_id)

    async def close(self, session_id: str, grace_milliseconds: int = 0) -> None:
        """End a session's tree and wait until nothing is left of it."""
        grace = grace_milliseconds or _DEFAULT_GRACE
        try:
            async with await HolderLink.connect(self._sessions.existing(session_id)) as link:
                await link.ask({"t": "close", "grace": grace})
                async with asyncio.timeout(grace / 1000 + _AFTER_GRACE):
                    await link.gone()
        except HolderGone:
            return
        except TimeoutError:
            raise errors.timeout(f"session {session_id} has processes that cannot be killed") from None

    async def close_all(self) -> None:
        """End every session that is not over."""
        async with asyncio.TaskGroup() as group:
            for session_id in self._sessions.ids():
                group.create_task(self.close(session_id))

    async def _open(self, request: pb.OpenSessionRequest) -> None:
        session_id = request.session_id
        self._sessions.directory(session_id)
        if self._sessions.exists(session_id):
            return
        directory = self._sessions.prepare(request)
        failpoint("agent.session.before_holder")
        try:
            await asyncio.to_thread(start_holder, directory, request)
        except BlockingIOError:
            raise errors.unavailable(f"session {session_id} is being started already", "ask again") from None
        except RemoteClaudeError as error:
            if error.code is not ErrorCode.TIMEOUT:
                self._sessions.discard(session_id)
            raise
        failpoint("agent.session.after_holder")

    async def _link(self, session_id: str) -> HolderLink:
        """A connection to the holder of a running session."""
        if self._sessions.exit(session_id) is not None:
            raise errors.precondition(_ENDED)
        try:
            return await HolderLink.connect(self._sessions.existing(session_id))
        except HolderGone:
            raise errors.precondition(_ENDED) from None

    async def _ask(self, session_id: str, message: dict[str, Any]) -> None:
        async with await self._link(session_id) as link:
            try:
                await link.ask(message)
            except HolderGone:
                raise errors.precondition(_ENDED) from None
