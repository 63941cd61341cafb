from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rc_protos.stream.segments import Expired, SegmentReader, SegmentWriter, find_segments, segment_path

SEGMENT = 16
START = 1000
# Whole segments are the places where it breaks.
sizes = st.sampled_from([SEGMENT, 2 * SEGMENT]) | st.integers(0, 3 * SEGMENT)


class Log(RuleBasedStateMachine):
    """A writer that crashes anywhere and readers that stay, beside a plain record of every byte."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp(prefix="rct")
        self.stored = bytearray()
        self.first = START
        self.writer = self.open()
        self.reader = SegmentReader(self.directory, "out")
        self.position = START

    def open(self) -> SegmentWriter:
        return SegmentWriter(self.directory, "out", start=START, segment_size=SEGMENT)

    @property
    def end(self) -> int:
        return START + len(self.stored)

    def starts(self) -> list[int]:
        return [start for start, _ in find_segments(self.directory, "out")]

    def fresh(self, size: int) -> bytes:
        """Bytes that tell where they belong."""
        return bytes((self.end + n) % 251 for n in range(size))

    @rule(size=sizes)
    def append(self, size: int) -> None:
        data = self.fresh(size)
        assert self.writer.append(data) == len(data)
        self.stored += data

    @rule(size=st.integers(0, SEGMENT))
    def crash(self, size: int) -> None:
        # Killed after a write(2) of which nobody was told: what is in the file counts.
        with open(segment_path(self.directory, "out", self.starts()[-1]), "ab") as file:
            torn = self.fresh(size)
            file.write(torn)
        self.stored += torn
        self.writer.close()
        self.writer = self.open()

    @rule()
    def crash_in_rotation(self) -> None:
        self.writer.close()
        Path(segment_path(self.directory, "out", self.end)).touch()
        self.writer = self.open()

    @precondition(lambda self: len(self.starts()) > 2)
    @rule()
    def crash_with_a_gap(self) -> None:
        # As after a power cut that kept one unlink and lost an earlier one.
        self.writer.close()
        gone = self.starts()[1]
        os.unlink(segment_path(self.directory, "out", gone))
        self.first = self.starts()[0]
        self.writer = self.open()

    @rule(back=sizes)
    def expire(self, back: int) -> None:
        before = self.end - back
        left = self.writer.expire(before)
        assert left <= max(before, self.first)
        self.first = left

    @rule(offset=st.integers(-SEGMENT, 8 * SEGMENT), limit=st.integers(1, 3 * SEGMENT), fresh=st.booleans())
    def read(self, offset: int, limit: int, fresh: bool) -> None:
        if fresh:
            self.reader.close()
            self.reader = SegmentReader(self.directory, "out")
        self.look(max(0, self.first + offset), limit)

    @rule(limit=st.integers(1, 2 * SEGMENT))
    def read_on(self, limit: int) -> None:
        self.look(self.position, limit)

    def look(self, wanted: int, limit: int) -> None:
        self.position = wanted
        try:
            data = self.reader.read(wanted, limit)
        except Expired as expired:
            assert wanted < expired.first == self.first
            return
        at = wanted - START
        assert len(data) <= limit
        assert data == self.stored[at : at + len(data)]
        # A reader that still has the file may read on in it, but it never takes what is gone for the end.
        assert data or wanted >= self.end
        self.position += len(data)

    @rule()
    def follow(self) -> None:
        at = self.first
        while data := self.reader.read(at, 7):
            assert data == self.stored[at - START : at - START + len(data)]
            at += len(data)
        assert at == self.end

    @invariant()
    def bounds_are_known(self) -> None:
        assert (self.writer.first, self.writer.end) == (self.first, self.end)
        assert self.reader.bounds() == (self.first, self.end)

    def teardown(self) -> None:
        self.writer.close()
        self.reader.close()
        shutil.rmtree(self.directory)


TestLog = Log.TestCase
TestLog.settings = settings(max_examples=200, stateful_step_count=40)


def test_of_a_disk_that_fills_up_what_was_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 10
    write = os.write

    def full(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(fd, data[:room])
        room -= count
        return count

    writer = SegmentWriter(tmp_path, "out", segment_size=4)
    monkeypatch.setattr(os, "write", full)
    assert writer.append(b"0123456789abcdef") == 10
    with pytest.raises(OSError, match="No space"):
        writer.append(b"abcdef")
    room = 100
    assert writer.append(b"abcdef") == 6
    monkeypatch.undo()
    writer.close()
    reader = SegmentReader(tmp_path, "out")
    assert b"".join(reader.read(at, 4) for at in range(0, 16, 4)) == b"0123456789abcdef"
    reader.close()


def test_streams_and_other_files_beside_each_other_are_not_mixed_up(tmp_path: Path) -> None:
    for name in ("out.new", "out.0000", "out.zzzzzzzzzzzzzzzz", "outer.0000000000000000", "marks.jsonl"):
        (tmp_path / name).write_bytes(b"no segment")
    for stream in ("out", "err"):
        writer = SegmentWriter(tmp_path, stream)
        writer.append(stream.encode())
        writer.close()
    assert find_segments(str(tmp_path), "out") == find_segments(str(tmp_path), "err") == [(0, 3)]
