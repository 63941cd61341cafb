"""One session's log on the daemon's host: the same offsets as in the sandbox, readable whatever became of it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rc_protos import errors
from rc_protos.convert import from_message
from rc_protos.model import ExitStatus
from rc_protos.stream.marks import Mark, append_mark, read_marks
from rc_protos.stream.segments import SEGMENT_SIZE, Expired, SegmentReader, SegmentWriter, find_segments
from rc_protos.v1 import session_pb2 as pb

INFO_FILE = "session.pb"
SANDBOX_FILE = "sandbox"
CHUNK = 65536
# A reader may want this much again after a restart, and not more.
AGAIN_MOST = 64 << 20
STREAMS = ("out", "err")


@dataclass(frozen=True)
class Need:
    """What a reader that must miss nothing still needs of a session's output."""

    # The first byte that was not read, and the one from which it would read after a restart.
    read: Callable[[], int]
    durable: Callable[[], int]

    def first(self) -> int:
        """The oldest byte that may not go."""
        return max(self.durable(), self.read() - AGAIN_MOST)


class MirroredSession:
    """Appended to by the mirror, read by anybody; every byte is on disk before a reader is woken."""

    def __init__(
        self, directory: Path, session_id: str, task_id: str, *, on_expire: Callable[[int], None] | None = None
    ) -> None:
        """`on_expire(offset)` is called before bytes of the output that lie before the offset are let go."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.directory = directory
        self.id = session_id
        self.task_id = task_id
        self.marks: list[Mark] = read_marks(directory)[0]
        self._on_expire = on_expire
        self._info = self._load()
        self._writers = {name: SegmentWriter(directory, name) for name in STREAMS}
        self._changed = asyncio.Event()
        self._needs: list[Need] = []
        if self.over:
            self.close()

    def end(self, stream: str) -> int:
        """One past the last byte mirrored of "out" or "err"."""
        return self._writers[stream].end

    def first(self, stream: str) -> int:
        """The oldest byte kept of "out" or "err"."""
        return self._writers[stream].first

    @property
    def introduced(self) -> bool:
        """The agent has said what the session is."""
        return bool(self._info.pid or self._info.ended)

    @property
    def over(self) -> bool:
        """The session has ended and every byte of it is here."""
        return self._info.ended

    @property
    def exit(self) -> ExitStatus | None:
        """How it ended."""
        return from_message(self._info.exit, ExitStatus) if self._info.ended else None

    @property
    def message(self) -> pb.Session:
        """The session as a message, its offsets those of the mirror."""
        shown = pb.Session()
        shown.CopyFrom(self._info)
        shown.id = self.id
        shown.out_first, shown.out_end = self.first("out"), self.end("out")
        shown.err_first, shown.err_end = self.first("err"), self.end("err")
        return shown

    @property
    def kind(self) -> str:
        """shell, exec, coding-agent, native or system; empty before the agent has said it."""
        return self._info.kind

    @property
    def pty(self) -> bool:
        """It has a terminal."""
        return self._info.pty

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of its terminal as last heard."""
        return self._info.size.columns, self._info.size.rows

    @property
    def sandbox_id(self) -> str:
        """The sandbox it was last followed in; known after a restart too."""
        try:
            return (self.directory / SANDBOX_FILE).read_text("ascii")
        except FileNotFoundError:
            return ""

    def reader(self, stream: str) -> SegmentReader:
        """A reader of one stream; the caller closes it."""
        return SegmentReader(self.directory, stream)

    async def read(self, stream: str, offset: int, *, follow: bool = True) -> AsyncIterator[tuple[int, bytes]]:
        """(offset, bytes) from an offset on, live until the session ends; raises precondition for expired bytes."""
        reader = self.reader(stream)
        try:
            while True:
                over, end = self.over, self.end(stream)
                while offset < end:
                    data = self.piece(reader, offset, end)
                    yield offset, data
                    offset += len(data)
                if over or not follow:
                    return
                await self.change(functools.partial(self._beyond, stream, offset))
        finally:
            reader.close()

    def piece(self, reader: SegmentReader, offset: int, end: int) -> bytes:
        """At most 64 KiB from an offset on, at least one byte."""
        try:
            data = reader.read(offset, min(CHUNK, end - offset))
        except Expired as expired:
            raise errors.precondition(
                f"the output of session {self.id} before byte {expired.first} has expired",
                f"read from {expired.first} on",
            ) from None
        if not data:
            raise errors.not_found(f"the log of session {self.id} was removed")
        return data

    async def change(self, done: Callable[[], bool]) -> None:
        """Wait until `done()` holds; woken by every append."""
        while not done():
            changed = self._changed
            await changed.wait()

    def _beyond(self, stream: str, offset: int) -> bool:
        return self.over or self.end(stream) > offset

    async def ended(self) -> ExitStatus:
        """Wait for the end."""
        await self.change(lambda: self.over)
        assert self.exit is not None
        return self.exit

    @contextlib.contextmanager
    def needed_by(self, need: Need) -> Iterator[None]:
        """Inside, no output goes that this reader needs, and no more than the cap is copied ahead of it."""
        self._needs.append(need)
        try:
            yield
        finally:
            self._needs.remove(need)
            self._wake()

    def was_read(self) -> None:
        """One that needs it has read some."""
        self._wake()

    # for the mirror only

    async def room(self, cap: int) -> None:
        """Wait until everyone who needs the output is less than `cap` bytes behind."""
        await self.change(lambda: self.over or all(self.end("out") - need.read() < cap for need in self._needs))

    def found_in(self, sandbox_id: str) -> None:
        """Remember where it runs."""
        if self.sandbox_id != sandbox_id:
            _replace(self.directory / SANDBOX_FILE, sandbox_id.encode("ascii"))

    def take(self, item: pb.AttachSessionResponse) -> int:
        """Store one message of the agent's; the number of new bytes."""
        which = item.WhichOneof("item")
        new = 0
        if which == "data":
            new = self._take_data(item.data)
        elif which == "mark":
            self._take_mark(item.mark)
        elif which == "session":
            self._info.CopyFrom(item.session)
            self._info.ended = False
            self._save()
        elif which == "exit":
            self.finish(item.exit)
        self._wake()
        return new

    def finish(self, status: pb.ExitStatus) -> None:
        """Record the end, once."""
        if self.over:
            return
        self._info.ended = True
        self._info.exit.CopyFrom(status)
        self._info.ended_at.FromNanoseconds(time.time_ns())
        self._save()
        self.close()
        self._wake()

    def bound(self, cap: int) -> None:
        """Let the oldest segments go when a stream is longer than `cap` bytes, and say so in a mark."""
        for name, writer in self._writers.items():
            before, wanted = writer.first, writer.end - cap
            if name == "out":
                wanted = min([wanted, *[need.first() for need in self._needs]])
            if wanted < before + SEGMENT_SIZE:
                continue
            if name == "out" and self._on_expire is not None:
                self._on_expire(wanted)
            if writer.expire(wanted) > before:
                self._add_mark(_expired(name, before, writer.first, self.end("out"), f"over its cap of {cap} bytes"))

    def skip_to(self, out: int, err: int) -> None:
        """Go on at these offsets: what lies between is in the sandbox no more."""
        for name, offset in (("out", out), ("err", err)):
            end = self.end(name)
            if offset <= end:
                continue
            self._writers[name].close()
            for start, _ in find_segments(str(self.directory), name):
                (self.directory / f"{name}.{start:016x}").unlink()
            self._writers[name] = SegmentWriter(self.directory, name, start=offset)
            self._add_mark(_expired(name, end, offset, out, "no longer in the sandbox when they were to be copied"))
        self._wake()

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def _take_data(self, data: pb.SessionData) -> int:
        writer = self._writers["err" if data.stream == pb.STREAM_ERR else "out"]
        # What the file holds is the only truth: a write that failed has left no trace in memory.
        have = writer.end - data.offset
        if have < 0:
            raise errors.internal(f"session {self.id}: bytes {writer.end} to {data.offset} are missing")
        new = data.data[have:]
        if new and writer.append(new) < len(new):
            raise errors.exhausted(f"the disk of {self.directory} is full", "free some space, or run: rc gc")
        return len(new)

    def _take_mark(self, mark: pb.SessionMark) -> None:
        stamp = round(mark.time.seconds + mark.time.nanos / 1e9, 6)
        size = mark.size
        new = Mark(mark.out_offset, mark.kind, columns=size.columns, rows=size.rows, text=mark.text, time=stamp)
        if mark.kind == "resize":
            self._info.size.CopyFrom(size)
        # An attachment begins with every mark from its offset on: those that are here come again.
        if new not in self.marks[-1000:]:
            self._add_mark(new)

    def _add_mark(self, mark: Mark) -> None:
        append_mark(self.directory, mark)
        self.marks.append(mark)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _load(self) -> pb.Session:
        found = pb.Session(id=self.id)
        path = self.directory / INFO_FILE
        if path.exists():
            found.ParseFromString(path.read_bytes())
        return found

    def _save(self) -> None:
        _replace(self.directory / INFO_FILE, self._info.SerializeToString())


def _expired(stream: str, first: int, after: int, out_offset: int, why: str) -> Mark:
    text = f"{stream}: bytes {first} to {after} were let go: {why}"
    return Mark(out_offset, "expired", text=text, time=time.time())


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}")
    temporary.write_bytes(data)
    os.replace(temporary, path)
