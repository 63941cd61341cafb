from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rc_daemon.sessions.mirrored import MirroredSession
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import ExitStatus
from rc_protos.stream.segments import SEGMENT_SIZE
from rc_protos.v1 import session_pb2 as pb


def data(offset: int, text: bytes, stream: int = pb.STREAM_OUT) -> pb.AttachSessionResponse:
    return pb.AttachSessionResponse(data=pb.SessionData(stream=stream, offset=offset, data=text))  # type: ignore[arg-type]


def resize(offset: int, columns: int, rows: int) -> pb.AttachSessionResponse:
    size = pb.TerminalSize(columns=columns, rows=rows)
    return pb.AttachSessionResponse(mark=pb.SessionMark(out_offset=offset, kind="resize", size=size))


async def whole(session: MirroredSession, stream: str = "out", begin: int = 0) -> bytes:
    return b"".join([piece async for _, piece in session.read(stream, begin, follow=False)])


@pytest.fixture
def session(tmp_path: Path) -> MirroredSession:
    return MirroredSession(tmp_path, "s1", "t1")


def again(session: MirroredSession) -> MirroredSession:
    """As after kill -9 of the daemon."""
    return MirroredSession(session.directory, session.id, session.task_id)


async def test_bytes_that_come_again_are_kept_once(session: MirroredSession) -> None:
    assert session.take(data(0, b"one ")) == 4
    assert session.take(data(2, b"e two")) == 3
    assert session.take(data(0, b"one")) == 0
    session.take(data(0, b"err", pb.STREAM_ERR))
    for each in (session, again(session)):
        assert await whole(each) == b"one two"
        assert await whole(each, begin=4) == b"two"
        assert await whole(each, "err") == b"err"


async def test_a_gap_is_refused(session: MirroredSession) -> None:
    with pytest.raises(RemoteClaudeError, match="bytes 0 to 5 are missing"):
        session.take(data(5, b"later"))
    assert session.end("out") == 0


async def test_marks_that_come_again_are_kept_once(session: MirroredSession) -> None:
    for _ in range(2):
        session.take(resize(0, 80, 24))
        session.take(resize(0, 100, 30))
    assert [(mark.columns, mark.rows) for mark in session.marks] == [(80, 24), (100, 30)]
    assert session.size == (100, 30)
    assert again(session).marks == session.marks


async def test_readers_wake_with_what_is_new_and_with_the_end(session: MirroredSession) -> None:
    async def read() -> bytes:
        return b"".join([piece async for _, piece in session.read("out", 0)])

    reading = asyncio.ensure_future(read())
    session.take(data(0, b"one "))
    await asyncio.sleep(0)
    session.take(data(4, b"two"))
    session.take(pb.AttachSessionResponse(exit=pb.ExitStatus(code=3)))
    async with asyncio.timeout(30):
        assert await reading == b"one two"
        assert await session.ended() == ExitStatus(3)
    # The first end counts.
    session.finish(pb.ExitStatus(lost="sandbox lost"))
    assert again(session).exit == ExitStatus(3)
    assert again(session).over


async def test_what_is_over_the_cap_goes_and_is_told(tmp_path: Path) -> None:
    asked: list[int] = []
    session = MirroredSession(tmp_path, "s1", "t1", on_expire=asked.append)
    session.take(data(0, bytes(2 * SEGMENT_SIZE)))
    session.take(data(2 * SEGMENT_SIZE, b"rest"))
    session.bound(2 * SEGMENT_SIZE)
    assert (session.first("out"), asked) == (0, [])
    session.bound(SEGMENT_SIZE)
    # Modes are looked at before the bytes are gone.
    assert asked == [SEGMENT_SIZE + 4]
    assert session.first("out") == SEGMENT_SIZE
    assert [(mark.kind, mark.out_offset) for mark in session.marks] == [("expired", session.end("out"))]
    assert f"bytes 0 to {SEGMENT_SIZE} were let go" in session.marks[0].text
    with pytest.raises(RemoteClaudeError, match=f"read from {SEGMENT_SIZE} on|before byte {SEGMENT_SIZE}") as caught:
        await whole(session)
    assert caught.value.code is ErrorCode.PRECONDITION
    assert (await whole(session, begin=2 * SEGMENT_SIZE)) == b"rest"


async def test_what_the_sandbox_has_no_more_is_skipped_and_told(session: MirroredSession) -> None:
    session.take(data(0, b"old"))
    session.skip_to(1000, 0)
    session.take(data(1000, b"new"))
    for each in (session, again(session)):
        assert (each.first("out"), each.end("out")) == (1000, 1003)
        assert "out: bytes 3 to 1000 were let go" in each.marks[0].text
        assert await whole(each, begin=1000) == b"new"


async def test_where_it_runs_is_known_after_a_restart(session: MirroredSession) -> None:
    assert session.sandbox_id == ""
    session.found_in("sb1")
    session.take(pb.AttachSessionResponse(session=pb.Session(id="s1", kind="shell", pty=True, pid=7)))
    other = again(session)
    assert (other.sandbox_id, other.kind, other.pty, other.introduced, other.over) == (
        "sb1",
        "shell",
        True,
        True,
        False,
    )
