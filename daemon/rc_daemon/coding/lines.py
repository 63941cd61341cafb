"""Cuts a session's output into lines and knows the offset of the first byte that was not processed."""

from __future__ import annotations

from collections.abc import Iterator

# A line longer than this is thrown away while it comes; its bytes stay in the session's log.
LINE_LIMIT = 64 << 20


class LineCutter:
    """Bytes in, whole lines out. `offset` is where to read on after a restart: the start of the unfinished line."""

    def __init__(self, offset: int = 0, limit: int = LINE_LIMIT) -> None:
        self.offset = offset
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def received(self) -> int:
        """One past the last byte that was fed."""
        return self.offset + self._size

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """Each finished line without its end, or None for one over the limit; `offset` moves as they are taken."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield self._finish(data[start:end])
            start = end + 1
        rest = data[start:]
        if rest:
            self._keep(rest)

    def _keep(self, rest: bytes) -> None:
        self._size += len(rest)
        if self._size > self._limit:
            self._parts.clear()
        else:
            self._parts.append(rest)

    def _finish(self, last: bytes) -> bytes | None:
        size = self._size + len(last)
        line = b"".join((*self._parts, last)) if size <= self._limit else None
        self._parts.clear()
        self._size = 0
        self.offset += size + 1
        return line
