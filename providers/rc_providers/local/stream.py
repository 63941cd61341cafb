"""A byte stream over a connected socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rc_protos import errors
from rc_providers.base import ByteStream


class SocketStream(ByteStream):
    """One end of a socket pair whose other end is a process's stdin and stdout."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._calls = 0
        self._closed = False

    def socket_fd(self) -> int | None:
        return self._socket.detach()

    async def read(self, limit: int = 65536) -> bytes:
        with self._call(), suppress(OSError):
            return await asyncio.get_running_loop().sock_recv(self._socket, limit)
        return b""

    async def write(self, data: bytes) -> None:
        try:
            with self._call():
                await asyncio.get_running_loop().sock_sendall(self._socket, data)
        except OSError as error:
            raise errors.unavailable(f"the stream into the sandbox is cut: {error}") from error

    async def close_write(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise errors.unavailable(f"the stream into the sandbox is cut: {error}") from error

    async def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._let_go()

    @contextmanager
    def _call(self) -> Iterator[None]:
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1
            self._let_go()

    def _let_go(self) -> None:
        # A descriptor that is closed while the loop waits for it never wakes the waiting call.
        if self._closed and not self._calls:
            self._socket.close()
