"""A session's output as a stream of messages: everything from an offset on, each byte once, read from its log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from rc_agent.sessions.describe import describe, exit_status
from rc_agent.sessions.link import HolderGone, HolderLink
from rc_agent.sessions.store import Sessions
from rc_protos import errors
from rc_protos.stream.marks import Mark, read_marks
from rc_protos.stream.segments import Expired, SegmentReader
from rc_protos.v1 import session_pb2 as pb

CHUNK = 65536


class Follower:
    """Reads one stream of a session up to the end it is told of."""

    def __init__(self, directory: str, name: str, offset: int) -> None:
        self.offset = offset
        self._stream = pb.STREAM_OUT if name == "out" else pb.STREAM_ERR
        self._reader = SegmentReader(directory, name)

    def next(self, end: int) -> pb.AttachSessionResponse | None:
        """The next chunk before `end`, or None."""
        if self.offset >= end:
            return None
        try:
            data = self._reader.read(self.offset, min(CHUNK, end - self.offset))
        except Expired as expired:
            raise _expired(expired.offset, expired.first) from None
        if not data:
            raise _expired(self.offset, end)
        item = pb.SessionData(stream=self._stream, offset=self.offset, data=data)
        self.offset += len(data)
        return pb.AttachSessionResponse(data=item)

    def close(self) -> None:
        """Close the log."""
        self._reader.close()


class Attachment:
    """One caller's view of one session."""

    def __init__(self, sessions: Sessions, request: pb.AttachSessionRequest) -> None:
        self._sessions = sessions
        self._request = request
        self._directory = sessions.existing(request.session_id)
        self._out = Follower(self._directory, "out", request.out_offset)
        self._err = Follower(self._directory, "err", request.err_offset)
        self._marks: list[Mark] = []
        self._mark_position = 0

    async def items(self) -> AsyncIterator[pb.AttachSessionResponse]:
        """The session first, then data and marks in order, and the exit last."""
        try:
            link = await HolderLink.connect(self._directory)
        except HolderGone:
            for item in self._rest():
                yield item
            return
        async with link:
            async for item in self._follow(link):
                yield item

    def close(self) -> None:
        """Close the log."""
        self._out.close()
        self._err.close()

    async def _follow(self, link: HolderLink) -> AsyncIterator[pb.AttachSessionResponse]:
        version = 0
        while True:
            try:
                state = await link.state(version)
            except HolderGone:
                state = {"ended": 1}
            if state["ended"]:
                for item in self._rest(introduce=version == 0):
                    yield item
                return
            if version == 0:
                yield self._introduction(state)
            version = state["version"]
            for item in self._until(state["out_end"], state["err_end"]):
                yield item
            if self._request.no_follow:
                return

    def _rest(self, introduce: bool = True) -> Any:
        """What an ended session has left to say."""
        record = self._sessions.exit(self._request.session_id)
        if introduce:
            yield self._introduction(None)
        if record is None:
            raise errors.unavailable("the session's holder does not answer")
        yield from self._until(record["out_end"], record["err_end"])
        yield pb.AttachSessionResponse(exit=exit_status(record))

    def _introduction(self, state: dict[str, Any] | None) -> pb.AttachSessionResponse:
        session = describe(self._sessions, self._request.session_id, state)
        wanted = [("out", self._out.offset, session.out_end), ("err", self._err.offset, session.err_end)]
        for name, offset, end in wanted:
            if offset > end or offset < 0:
                raise errors.precondition(f"offset {offset} is beyond the end of {name}, which is at {end}")
        return pb.AttachSessionResponse(session=session)

    def _until(self, out_end: int, err_end: int) -> Any:
        """Data and marks up to these ends; a mark comes before the data it stands before."""
        new, self._mark_position = read_marks(self._directory, self._mark_position)
        self._marks += [mark for mark in new if mark.out_offset >= self._request.out_offset]
        while True:
            while self._marks and self._marks[0].out_offset <= self._out.offset:
                yield _mark_message(self._marks.pop(0))
            end = min(out_end, self._marks[0].out_offset) if self._marks else out_end
            item = self._out.next(end)
            if item is None and end == out_end:
                break
            if item is not None:
                yield item
        while not self._request.only_out and (item := self._err.next(err_end)) is not None:
            yield item


def _mark_message(mark: Mark) -> pb.AttachSessionResponse:
    item = pb.SessionMark(out_offset=mark.out_offset, kind=mark.kind, text=mark.text)
    if mark.columns:
        item.size.columns, item.size.rows = mark.columns, mark.rows
    item.time.FromNanoseconds(int(mark.time * 1e9))
    return pb.AttachSessionResponse(mark=item)


def _expired(offset: int, first: int) -> errors.RemoteClaudeError:
    return errors.precondition(f"the bytes from {offset} on have expired, the oldest kept is {first}")
