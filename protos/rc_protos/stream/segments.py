"""A byte stream on disk, addressed by 64-bit offsets: files `<directory>/<stream>.<16 hex digits of its first offset>`.

A byte counts as stored once write(2) has returned. Light imports only: a session's holder starts with this.
"""

from __future__ import annotations

import os

SEGMENT_SIZE = 1 << 20


class Expired(Exception):
    """The wanted offset is no longer on disk; `first` is the oldest that is."""

    def __init__(self, offset: int, first: int) -> None:
        super().__init__(f"offset {offset} is gone, the oldest byte kept is {first}")
        self.offset = offset
        self.first = first


def segment_path(directory: str, stream: str, offset: int) -> str:
    """The file of the segment that begins at `offset`."""
    return f"{directory}/{stream}.{offset:016x}"


def find_segments(directory: str, stream: str) -> list[tuple[int, int]]:
    """(first offset, size) of each segment in order; what lies before a gap is left out, as if it had expired."""
    prefix = stream + "."
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            suffix = entry.name[len(prefix) :]
            if entry.name.startswith(prefix) and len(suffix) == 16:
                try:
                    found.append((int(suffix, 16), entry.stat().st_size))
                except (ValueError, FileNotFoundError):
                    continue
    found.sort()
    for i in range(len(found) - 1, 0, -1):
        if found[i - 1][0] + found[i - 1][1] != found[i][0]:
            return found[i:]
    return found


class SegmentWriter:
    """The only writer of a stream; finds its end from the file sizes after any crash."""

    def __init__(
        self, directory: str | os.PathLike[str], stream: str, *, start: int = 0, segment_size: int = SEGMENT_SIZE
    ) -> None:
        """`start`: the first offset of a stream of which nothing is on disk yet."""
        self._directory = os.fspath(directory)
        self._stream = stream
        self._segment_size = segment_size
        self._fd = -1
        segments = find_segments(self._directory, stream)
        self._starts = [offset for offset, _ in segments] or [start]
        self.end = segments[-1][0] + segments[-1][1] if segments else start
        self._open(self._starts[-1])

    @property
    def first(self) -> int:
        """The oldest offset on disk."""
        return self._starts[0]

    def append(self, data: bytes | memoryview) -> int:
        """Write at the end; fewer bytes than given only if the disk took no more, OSError if it took none."""
        view = memoryview(data)
        done = 0
        while done < len(view):
            try:
                room = self._segment_size - (self.end - self._starts[-1])
                if room <= 0:
                    self._rotate()
                    room = self._segment_size
                count = os.write(self._fd, view[done : done + room])
            except OSError:
                if done:
                    return done
                raise
            done += count
            self.end += count
        return done

    def expire(self, before: int) -> int:
        """Delete whole segments that end at or before `before`, never the newest; return the first offset left."""
        while len(self._starts) > 1 and self._starts[1] <= before:
            try:  # noqa: SIM105 - contextlib would cost every holder 5 ms of import
                os.unlink(segment_path(self._directory, self._stream, self._starts[0]))
            except FileNotFoundError:
                pass
            del self._starts[0]
        return self._starts[0]

    def close(self) -> None:
        """Close the file; nothing is buffered."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _rotate(self) -> None:
        self._open(self.end)
        self._starts.append(self.end)

    def _open(self, offset: int) -> None:
        path = segment_path(self._directory, self._stream, offset)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.close()
        self._fd = fd


class SegmentReader:
    """Reads a stream by offset while its writer goes on writing."""

    def __init__(self, directory: str | os.PathLike[str], stream: str) -> None:
        self._directory = os.fspath(directory)
        self._stream = stream
        self._fd = -1
        self._start = 0

    @property
    def first(self) -> int:
        """The oldest offset on disk now."""
        return self.bounds()[0]

    @property
    def end(self) -> int:
        """One past the newest offset on disk now."""
        return self.bounds()[1]

    def bounds(self) -> tuple[int, int]:
        """(first, end) as the directory shows them now."""
        segments = find_segments(self._directory, self._stream)
        if not segments:
            return 0, 0
        return segments[0][0], segments[-1][0] + segments[-1][1]

    def read(self, offset: int, limit: int = 65536) -> bytes:
        """Up to `limit` bytes from `offset` on, b"" at the end; raises Expired if the offset is gone."""
        if self._fd >= 0 and self._start <= offset:
            data = os.pread(self._fd, limit, offset - self._start)
            if data:
                return data
        if not self._seek(offset):
            return b""
        return os.pread(self._fd, limit, offset - self._start)

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _seek(self, offset: int) -> bool:
        """Open the segment that holds `offset`; a segment that follows another is named by exactly that offset."""
        if self._open(offset):
            return True
        segments = find_segments(self._directory, self._stream)
        if segments and offset < segments[0][0]:
            raise Expired(offset, segments[0][0])
        for start, size in segments:
            if start <= offset < start + size:
                return self._open(start)
        return False

    def _open(self, start: int) -> bool:
        try:
            fd = os.open(segment_path(self._directory, self._stream, start), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self.close()
        self._fd = fd
        self._start = start
        return True
