"""A writer's call: its numbered bytes go to the holder, the holder's watermarks come back."""

from __future__ import annotations

from typing import Any

from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Stream

from rc_agent.sessions.link import HolderGone, HolderLink
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.v1 import session_pb2 as pb

_PIECE = 65536

Call = Stream[pb.WriteSessionRequest, pb.WriteSessionResponse]


class WriterCall:
    """One WriteSession call of one writer."""

    def __init__(self, call: Call, link: HolderLink, first: pb.WriteSessionRequest) -> None:
        self._call = call
        self._link = link
        self._first = first
        self._writer = first.writer_id.encode()
        self._sent = 0
        self._finished = False

    async def run(self, background: Background) -> None:
        """Carry bytes and watermarks until the caller has ended and all it sent was written."""
        feeder = background.spawn(self._feed(), f"input {self._first.session_id}")
        try:
            while not await self._report():
                pass
        finally:
            feeder.cancel()

    async def _report(self) -> bool:
        """Pass on one answer of the holder; True when there is nothing left to wait for."""
        try:
            answer = await self._link.receive()
        except HolderGone:
            raise errors.precondition("the session has ended") from None
        if answer["t"] == b"gap":
            raise errors.precondition(f"input from byte {answer['wanted']} on is missing")
        if answer["t"] != b"mark":
            raise errors.internal(f"the holder answered {answer}")
        await self._call.send_message(pb.WriteSessionResponse(watermark=answer["watermark"]))
        done: bool = self._finished and answer["watermark"] >= self._sent
        if answer["closed"] and not done and answer["watermark"] < self._sent:
            raise errors.precondition("the process does not read its input any more")
        return done

    async def _feed(self) -> None:
        try:
            await self._pass_on(self._first)
            async for request in self._call:
                await self._pass_on(request)
            self._finished = True
            # Has the holder answer once more, so that the end is noticed.
            await self._send(self._sent, b"", end=False)
        except (HolderGone, StreamTerminatedError):
            # `_report` or the call itself sees it too.
            return

    async def _pass_on(self, request: pb.WriteSessionRequest) -> None:
        data = request.data
        for at in range(0, max(1, len(data)), _PIECE):
            piece = data[at : at + _PIECE]
            last = at + _PIECE >= len(data)
            self._sent = max(self._sent, request.from_byte + at + len(piece))
            await self._send(request.from_byte + at, piece, end=request.end and last)

    async def _send(self, from_byte: int, data: bytes, *, end: bool) -> None:
        message: dict[str, Any] = {"t": "input", "writer": self._writer, "from": from_byte, "data": data}
        if end:
            message["end"] = 1
        await self._link.send(message)
