"""One gRPC channel on one byte stream that is open already; when the stream ends, so does the channel."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from grpclib.client import Channel
from grpclib.config import Configuration
from grpclib.encoding.base import CodecBase
from grpclib.protocol import H2Protocol

from rc_daemon.links.http2 import LinkProtocol
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError
from rc_providers.base import ByteStream

# What one call may have on its way to a reader that is slow.
STREAM_WINDOW = 1 << 20
# No bound of its own: slow calls that fill it would take the heartbeat's room.
CONNECTION_WINDOW = (1 << 31) - 1
CONFIG = Configuration(http2_connection_window_size=CONNECTION_WINDOW, http2_stream_window_size=STREAM_WINDOW)
_COPY = 1 << 17


class RawCodec(CodecBase):
    """Messages pass as the bytes they are."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


class StreamChannel(Channel):
    """A channel that never connects by itself."""

    def __init__(
        self, connection: socket.socket, first: bytes = b"", incoming: Callable[[bytes], bytes] = lambda data: data
    ) -> None:
        """`first`: bytes of HTTP/2 that have been read already; `incoming`: what of those on the socket is HTTP/2."""
        super().__init__(path="link", config=CONFIG)
        self._connection = connection
        self._first = first
        self._incoming = incoming
        self._link_protocol: LinkProtocol | None = None
        self.lost = asyncio.Event()

    async def _create_connection(self) -> H2Protocol:
        if self._link_protocol is not None or self.lost.is_set():
            raise ConnectionResetError("the link is cut")
        protocol = LinkProtocol(self._config, self._h2_config, self._first, self._incoming, self.lost)
        self._link_protocol = protocol
        # Takes a connected stream socket of any family.
        await self._loop.create_connection(lambda: protocol, sock=self._connection)
        return protocol

    def raw(self) -> RawChannel:
        """The same connection for messages that are bytes."""
        return RawChannel(self)

    def close(self) -> None:
        """End every call at once, whatever waits to be written; the other side sees the end of the stream."""
        self.lost.set()
        if self._link_protocol is None:
            self._connection.close()
        else:
            self._link_protocol.abort()
        super().close()


class RawChannel(Channel):
    """Shares a StreamChannel's connection, without encoding."""

    def __init__(self, channel: StreamChannel) -> None:
        super().__init__(path="link", codec=RawCodec(), config=CONFIG)
        self._channel = channel

    async def __connect__(self) -> H2Protocol:
        return await self._channel.__connect__()


async def as_channel(stream: ByteStream, first: bytes, background: Background, name: str) -> StreamChannel:
    """A channel on the stream's own socket, or on one end of a pair that is pumped; `first`: what was read already."""
    descriptor = stream.socket_fd()
    if descriptor is not None:
        return StreamChannel(socket.socket(fileno=descriptor), first, stream.incoming)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    background.spawn(_pump(stream, theirs), f"pump {name}")
    return StreamChannel(ours, first)


async def _pump(stream: ByteStream, connection: socket.socket) -> None:
    """Copy both ways until either side ends; each byte is passed on before the next is read."""
    try:
        async with asyncio.TaskGroup() as group:
            ways = [
                group.create_task(_into(stream, connection), name="into the sandbox"),
                group.create_task(_out_of(stream, connection), name="out of the sandbox"),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
    finally:
        connection.close()
        await stream.close()


async def _into(stream: ByteStream, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await loop.sock_recv(connection, _COPY):
            await stream.write(data)
    except (OSError, RemoteClaudeError):
        # A cut: the link sees the end of the pair.
        return


async def _out_of(stream: ByteStream, connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    try:
        while data := await stream.read(_COPY):
            await loop.sock_sendall(connection, data)
    except (OSError, RemoteClaudeError):
        return
