"""One output stream of the session: from its descriptor into segments, never faster than the disk and the cap allow."""

from __future__ import annotations

import errno
import os
import time

from rc_protos.stream.segments import SEGMENT_SIZE, SegmentWriter

CHUNK = 65536
# Read at most this much before looking at input and control again.
TURN = 4 * CHUNK
DISK_FULL = "disk full"
OVER_CAP = "over its size cap and not mirrored"
_RETRY_FIRST = 0.05
_RETRY_MOST = 2.0


class Output:
    """A stream that is read, stored, and perhaps blocked; `fd` is -1 once it ended."""

    def __init__(self, directory: str, name: str, fd: int, cap: int) -> None:
        segment = min(SEGMENT_SIZE, max(4096, cap // 4))
        self.name = name
        self.fd = fd
        self.blocked = ""
        self.retry_at = 0.0
        self.acked = 0
        self.expired = False
        self.log = SegmentWriter(directory, name, segment_size=segment)
        self._cap = max(cap, 2 * segment)
        self._pending = b""
        self._delay = _RETRY_FIRST

    @property
    def wants_read(self) -> bool:
        """Whether the descriptor should be polled."""
        return self.fd >= 0 and not self._pending

    @property
    def wants_retry(self) -> bool:
        """Whether time may help; room below the cap comes with an acknowledgement instead."""
        return bool(self._pending) and self.blocked != OVER_CAP

    @property
    def unstored(self) -> int:
        """Bytes that were read and wait for room."""
        return len(self._pending)

    def pump(self) -> bool:
        """Store what the process has printed; True if the log grew or its state changed."""
        changed = False
        for _ in range(TURN // CHUNK):
            if not self.wants_read:
                break
            data = self._read()
            changed = changed or bool(data) or self.fd < 0
            if not data:
                break
            self._store(data)
        return changed

    def retry(self) -> bool:
        """Try again to store what is pending; True if anything moved."""
        if not self._pending:
            return False
        before = (self.log.end, self.blocked)
        data, self._pending = self._pending, b""
        self._store(data)
        return (self.log.end, self.blocked) != before

    def ack(self, offset: int) -> bool:
        """Everything before `offset` is safe elsewhere; True if that let something move."""
        self.acked = max(self.acked, min(offset, self.log.end))
        return self.retry() if self.blocked == OVER_CAP else False

    def close(self) -> None:
        """Let go of the descriptor; what is stored stays."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _read(self) -> bytes:
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:
            # EIO: nobody holds the terminal any more.
            if error.errno != errno.EIO:
                raise
            data = b""
        if not data:
            self.close()
        return data

    def _store(self, data: bytes) -> None:
        room = self._make_room(len(data))
        try:
            done = self.log.append(data[:room])
        except OSError as error:
            self._block(data, DISK_FULL if error.errno == errno.ENOSPC else os.strerror(error.errno or errno.EIO))
            return
        if done == len(data):
            self.blocked = ""
            self._delay = _RETRY_FIRST
        else:
            self._block(data[done:], OVER_CAP if done == room else DISK_FULL)

    def _block(self, data: bytes, reason: str) -> None:
        self._pending = data
        self.blocked = reason
        # A holder's own share of jitter: many of them wait for the same disk.
        self.retry_at = time.monotonic() + self._delay * (0.8 + os.getpid() % 40 / 100)
        self._delay = min(self._delay * 2, _RETRY_MOST)

    def _make_room(self, size: int) -> int:
        kept = self.log.end - self.log.first
        if kept + size > self._cap:
            first = self.log.first
            self.log.expire(min(self.acked, self.log.first + kept + size - self._cap + self._cap // 4))
            self.expired = self.expired or self.log.first != first
        return max(0, self._cap - (self.log.end - self.log.first))
