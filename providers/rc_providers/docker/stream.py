"""The stream of `docker exec`: input as it is, output in Docker's frames."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from rc_providers.local.stream import SocketStream

# Of every frame: 1 stdout or 2 stderr, three zeros, the length.
HEAD = struct.Struct(">BxxxI")
STDERR = 2


class Demultiplexer:
    """Takes frames apart, however they were cut; sans-I/O."""

    def __init__(self, on_stderr: Callable[[bytes], None]) -> None:
        self._on_stderr = on_stderr
        self._head = b""
        self._kind = 0
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """What of these bytes is stdout; stderr is told of."""
        if self._head:
            data, self._head = self._head + data, b""
        found: list[bytes] = []
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                if end - at < HEAD.size:
                    self._head = data[at:]
                    break
                self._kind, self._left = HEAD.unpack_from(data, at)
                at += HEAD.size
                continue
            part = data[at : at + self._left]
            at += len(part)
            self._left -= len(part)
            if self._kind == STDERR:
                self._on_stderr(part)
            else:
                found.append(part)
        return found[0] if len(found) == 1 else b"".join(found)


class ExecStream(SocketStream):
    """A process in a container."""

    def __init__(self, connection: socket.socket, first: bytes, on_stderr: Callable[[bytes], None]) -> None:
        """`first`: what has been read from the connection already."""
        super().__init__(connection)
        self._demultiplexer = Demultiplexer(on_stderr)
        self._ready = self._demultiplexer.feed(first)

    def socket_fd(self) -> int | None:
        return None if self._ready else super().socket_fd()

    def incoming(self, data: bytes) -> bytes:
        return self._demultiplexer.feed(data)

    async def read(self, limit: int = 65536) -> bytes:
        while not self._ready:
            data = await super().read(max(limit, HEAD.size))
            if not data:
                return b""
            self._ready = self._demultiplexer.feed(data)
        found, self._ready = self._ready[:limit], self._ready[limit:]
        return found
