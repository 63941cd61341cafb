"""An 8-bit clean stream over one that is not: everything travels in ASCII frames."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rc_protos import errors
from rc_protos.errors import RemoteClaudeError
from rc_protos.stream.framing import Damaged, Decoder, Encoder
from rc_providers.base import ByteStream

END_SECONDS = 1.0


class FramedStream(ByteStream):
    """The other end is `rc-agent connect` with the wire `ascii`."""

    def __init__(self, inner: ByteStream, first: bytes = b"") -> None:
        """`first`: what has been read from the stream already."""
        self._inner = inner
        self._first = first
        self._encoder = Encoder()
        self._decoder = Decoder()

    async def read(self, limit: int = 65536) -> bytes:
        while not self._decoder.ended:
            data, self._first = self._first or await self._inner.read(limit), b""
            if not data:
                break
            try:
                whole = self._decoder.feed(data)
            except Damaged as error:
                raise errors.unavailable(f"the stream into the sandbox is not whole: {error}") from None
            if whole:
                return whole
        return b""

    async def write(self, data: bytes) -> None:
        await self._inner.write(self._encoder.data(data))

    async def close_write(self) -> None:
        await self._inner.write(self._encoder.end())

    async def close(self) -> None:
        with suppress(RemoteClaudeError, TimeoutError):
            # A terminal has no other way to tell the far end.
            async with asyncio.timeout(END_SECONDS):
                await self.close_write()
        await self._inner.close()
