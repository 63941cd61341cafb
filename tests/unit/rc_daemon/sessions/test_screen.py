from __future__ import annotations

from pathlib import Path

import pytest
from support.emulator import Emulator
from support.painter import screenful

from rc_daemon.sessions.mirrored import MirroredSession
from rc_daemon.sessions.screen import MODES_FILE, Screens
from rc_protos.stream.segments import SEGMENT_SIZE
from rc_protos.v1 import session_pb2 as pb

START = b"$ vim\r\n\x1b[?1049h\x1b[?1h\x1b[?2004h\x1b]2;file\x07\x1b[?25l"
DRAWN = START + b"".join(screenful(n, 80, 24) for n in range(30))


def filled(directory: Path, log: bytes, screens: Screens | None = None) -> MirroredSession:
    session = MirroredSession(
        directory, "s1", "t1", on_expire=lambda offset: screens and screens.keep_modes(session, offset)
    )
    session.take(pb.AttachSessionResponse(session=pb.Session(id="s1", pty=True, pid=7)))
    session.take(pb.AttachSessionResponse(data=pb.SessionData(stream=pb.STREAM_OUT, offset=0, data=log)))
    return session


async def shown(screens: Screens, session: MirroredSession) -> Emulator:
    preamble, begin = screens.replay(session)
    emulator = Emulator()
    emulator.feed(preamble)
    async for _, data in session.read("out", begin, follow=False):
        emulator.feed(data)
    return emulator


def never_cut(log: bytes) -> Emulator:
    emulator = Emulator()
    emulator.feed(log)
    return emulator


async def test_a_short_log_is_replayed_whole(tmp_path: Path) -> None:
    assert Screens().replay(filled(tmp_path, DRAWN)) == (b"", 0)


@pytest.mark.parametrize("limit", range(4000, 12000, 1111))
async def test_a_replay_shows_the_same(limit: int, tmp_path: Path) -> None:
    session = filled(tmp_path, DRAWN)
    preamble, begin = Screens(limit).replay(session)
    assert 0 < len(DRAWN) - begin <= limit
    assert b"\x1b[?1049h" in preamble
    assert (await shown(Screens(limit), session)).picture() == never_cut(DRAWN).picture()


async def test_no_byte_is_looked_at_twice(tmp_path: Path) -> None:
    session = filled(tmp_path, DRAWN)
    first = Screens(6000).replay(session)
    known = (tmp_path / MODES_FILE).read_bytes()
    # What lies before is not needed any more: other bytes there change nothing.
    (tmp_path / MODES_FILE).write_bytes(known.replace(b"\x1b]2;file\x07", b"\x1b]2;kept\x07"))
    assert Screens(6000).replay(session) == (first[0].replace(b"file", b"kept"), first[1])


async def test_modes_outlive_the_bytes_that_set_them(tmp_path: Path) -> None:
    screens = Screens(6000)
    lines = b"".join(screenful(n, 80, 24) for n in range(SEGMENT_SIZE // 1500))
    log = START + lines
    assert len(log) > SEGMENT_SIZE
    session = filled(tmp_path, log, screens)
    session.bound(len(log) - SEGMENT_SIZE)
    assert session.first("out") >= SEGMENT_SIZE
    # Another daemon, which never saw the beginning.
    assert (await shown(Screens(6000), session)).picture() == never_cut(START + log[-20_000:]).picture()
