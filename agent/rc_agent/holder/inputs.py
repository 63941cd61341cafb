"""Numbered input of several writers, in the order it was accepted, until the process has taken it."""

from __future__ import annotations

import os

from rc_protos.stream.resume import OutputCursor

LIMIT = 1 << 20
_WRITE = 65536


class Writer:
    """One writer: what was accepted and what has been written to the process."""

    def __init__(self) -> None:
        self.accepted = OutputCursor()
        self.watermark = 0
        self.ended = False


class Inputs:
    """The bounded queue in front of the process's stdin; `fd` is -1 when the process takes no more."""

    def __init__(self, fd: int, *, pty: bool) -> None:
        self.fd = fd
        self.size = 0
        self._pty = pty
        self._ending = False
        self._writers: dict[bytes, Writer] = {}
        # Without a writer: bytes that nobody numbered (end of file on a terminal).
        self._queue: list[tuple[Writer | None, bytes]] = []

    @property
    def full(self) -> bool:
        """Whether no more input should be read from anybody."""
        return self.size >= LIMIT

    @property
    def wants_write(self) -> bool:
        """Whether the descriptor should be polled for room."""
        return self.fd >= 0 and bool(self._queue)

    def watermark(self, writer: bytes) -> int:
        """Every byte of this writer before it has been written to the process."""
        known = self._writers.get(writer)
        return known.watermark if known else 0

    def accept(self, writer: bytes, from_byte: int, data: bytes) -> None:
        """Queue what is new of `data`; raises Gap if bytes before it never came."""
        known = self._writers.setdefault(writer, Writer())
        new = known.accepted.take(from_byte, data)
        if new and self.fd >= 0 and not self._ending:
            self._queue.append((known, new))
            self.size += len(new)

    def end(self, writer: bytes, end_of_file: bytes) -> None:
        """Half-close after what is queued; on a terminal by its end-of-file character, once per writer."""
        known = self._writers.setdefault(writer, Writer())
        if known.ended:
            return
        known.ended = True
        if self._pty:
            self._queue.append((None, end_of_file))
        else:
            self._ending = True

    def flush(self) -> bool:
        """Write what the process takes; True if a watermark moved or the input closed."""
        moved = False
        while self._queue and self.fd >= 0:
            writer, data = self._queue[0]
            try:
                count = os.write(self.fd, data[:_WRITE])
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return True
            moved = True
            self._taken(writer, data, count)
        if self._ending and not self._queue and self.fd >= 0:
            self.close()
            moved = True
        return moved

    def close(self) -> None:
        """The process takes no more: drop what is queued."""
        if self.fd >= 0 and not self._pty:
            os.close(self.fd)
        self.fd = -1
        self._queue.clear()
        self.size = 0

    def _taken(self, writer: Writer | None, data: bytes, count: int) -> None:
        if writer is not None:
            writer.watermark += count
            self.size -= count
        if count == len(data):
            del self._queue[0]
        else:
            self._queue[0] = (writer, data[count:])
