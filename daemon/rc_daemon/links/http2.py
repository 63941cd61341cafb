"""What grpclib's HTTP/2 lacks for a link: every call ends with the connection, and no message is without a bound.

Each piece names the behaviour of grpclib 0.4.9 that it mends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from grpclib.client import Handler
from grpclib.config import Configuration
from grpclib.exceptions import StreamTerminatedError
from grpclib.protocol import H2Protocol, Stream
from grpclib.utils import Wrapper
from h2.config import H2Configuration
from h2.errors import ErrorCodes
from h2.events import StreamReset
from h2.settings import SettingCodes

# A message of ours in one frame instead of five.
MAX_FRAME = 1 << 17
# More than any message of ours, less than what would hurt: the other side may be hostile.
MAX_MESSAGE = 64 << 20
CUT = "the stream into the sandbox was cut"


class LinkProtocol(H2Protocol):
    """The connection of one link."""

    def __init__(
        self,
        config: Configuration,
        h2_config: H2Configuration,
        first: bytes,
        incoming: Callable[[bytes], bytes],
        lost: asyncio.Event,
    ) -> None:
        """`incoming`: what of the bytes on the socket is HTTP/2."""
        super().__init__(Handler(), config, h2_config)
        self._first = first
        self._incoming = incoming
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        # Calls that wait for room before they have a stream; grpclib forgets to end these.
        self.starting: set[Wrapper] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        super().connection_made(transport)
        self._transport = transport
        connection, http2 = self.connection, self.connection._connection
        http2.update_settings({SettingCodes.MAX_FRAME_SIZE: MAX_FRAME})
        connection.flush()
        connection.create_stream = partial(LinkStream, self)  # type: ignore[method-assign]
        self.processor.processors[StreamReset] = self._reset
        if self._first:
            super().data_received(self._first)

    def data_received(self, data: bytes) -> None:
        if data := self._incoming(data):
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._lost.set()
        for wrapper in self.starting:
            wrapper.cancel(StreamTerminatedError(CUT))

    def abort(self) -> None:
        """Cut at once, even if the other side takes nothing any more."""
        if self._transport is not None:
            self._transport.abort()

    def _reset(self, event: StreamReset) -> None:
        stream = self.processor.streams.get(event.stream_id)
        if stream is not None and stream.trailers is not None and event.error_code == ErrorCodes.NO_ERROR:
            # "I need no more of your request" (RFC 9113, 8.1): the answer is whole and is read to its end.
            return
        self.processor.process_stream_reset(event)


class LinkStream(Stream):
    """One call."""

    def __init__(self, protocol: LinkProtocol, *, wrapper: Wrapper | None = None) -> None:
        connection = protocol.connection
        # Gone as soon as the other side says that it leaves, before the connection is lost.
        transport = getattr(connection, "_transport", None)
        if transport is None:
            raise StreamTerminatedError(CUT)
        super().__init__(connection, connection._connection, transport, wrapper=wrapper)
        self._protocol = protocol

    async def send_request(self, headers: Any, end_stream: bool = False, *, _processor: Any) -> Callable[[], None]:
        starting = self._protocol.starting
        assert self.wrapper is not None
        starting.add(self.wrapper)
        try:
            return await super().send_request(headers, end_stream, _processor=_processor)
        finally:
            starting.discard(self.wrapper)

    async def recv_data(self, size: int) -> bytes:
        if size > MAX_MESSAGE:
            raise StreamTerminatedError(f"a message of {size} bytes")
        try:
            return await super().recv_data(size)
        except AssertionError:
            raise StreamTerminatedError("a message ended in the middle") from None
