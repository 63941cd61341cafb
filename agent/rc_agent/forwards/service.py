"""ForwardService: one call carries one connection; a listener announces each connection that comes."""

# ruff: noqa: N802 - methods are named by the proto
from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from typing import Any

from grpclib.server import Stream

from rc_agent.calls import received
from rc_agent.forwards.endpoint import dial, listen
from rc_agent.forwards.ports import listening
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.v1 import forward_pb2 as pb
from rc_protos.v1.forward_grpc import ForwardServiceBase

CHUNK = 64 << 10
# A connection that nobody carries is closed again.
CARRY_SECONDS = 30.0
# What starts to listen is seen after at most this long.
PORTS_SECONDS = 1.0


# A connection that was accepted in the sandbox.
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ForwardService(ForwardServiceBase):
    """Connections of one sandbox."""

    def __init__(self, background: Background, state: str) -> None:
        """`state`: the agent's state directory, by which processes of this sandbox are known."""
        self._background = background
        self._state = state
        self._waiting: dict[str, Connection] = {}

    async def ConnectForward(self, stream: Stream[pb.ConnectForwardRequest, pb.ConnectForwardResponse]) -> None:
        """A connection to an endpoint inside; an empty answer says that it is made."""
        first = await received(stream)
        reader, writer = await dial(first.endpoint)
        await stream.send_message(pb.ConnectForwardResponse())
        await self._carry(stream, first, reader, writer, pb.ConnectForwardResponse)

    async def ListenForward(self, stream: Stream[pb.ListenForwardRequest, pb.ListenForwardResponse]) -> None:
        """Listen inside until the caller hangs up."""
        request = await received(stream)
        accepted: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection_id = secrets.token_hex(8)
            self._waiting[connection_id] = (reader, writer)
            self._background.spawn(self._expire(connection_id), f"forward {connection_id}")
            accepted.put_nowait((connection_id, _peer(writer)))

        server, bound = await listen(request.endpoint, accept)
        try:
            await stream.send_message(pb.ListenForwardResponse(endpoint=bound))
            while True:
                connection_id, peer = await accepted.get()
                await stream.send_message(pb.ListenForwardResponse(connection_id=connection_id, peer=peer))
        finally:
            server.close()

    async def CarryForward(self, stream: Stream[pb.CarryForwardRequest, pb.CarryForwardResponse]) -> None:
        """The bytes of a connection that ListenForward has announced."""
        first = await received(stream)
        waiting = self._waiting.pop(first.connection_id, None)
        if waiting is None:
            raise errors.not_found(f"there is no connection {first.connection_id}", "it was carried or given up before")
        await self._carry(stream, first, *waiting, pb.CarryForwardResponse)

    async def WatchPorts(self, stream: Stream[pb.WatchPortsRequest, pb.WatchPortsResponse]) -> None:
        """What listens in the sandbox, told anew at each change."""
        request = await received(stream)
        told: Any = None
        while True:
            found = await asyncio.to_thread(listening, self._state)
            if found != told:
                ports = [pb.Port(port=each.port, address=each.address, command=each.command) for each in found]
                await stream.send_message(pb.WatchPortsResponse(ports=ports))
                told = found
            if not request.follow:
                return
            await asyncio.sleep(PORTS_SECONDS)

    async def _carry(
        self,
        stream: Stream[Any, Any],
        first: Any,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answer: type[Any],
    ) -> None:
        """Copy both ways; each end passes on its half-close, and the call ends when both have."""
        inward = self._background.spawn(_inward(stream, first, writer), "forward in")
        try:
            with suppress(ConnectionError):
                while data := await reader.read(CHUNK):
                    await stream.send_message(answer(data=data))
            await stream.send_message(answer(end=True))
            await inward
        finally:
            inward.cancel()
            writer.close()

    async def _expire(self, connection_id: str) -> None:
        await asyncio.sleep(CARRY_SECONDS)
        waiting = self._waiting.pop(connection_id, None)
        if waiting is not None:
            waiting[1].close()


async def _inward(stream: Stream[Any, Any], first: Any, writer: asyncio.StreamWriter) -> None:
    """What comes, to the end of the call: one that we end first would be reset under its sender."""
    request = first
    with suppress(ConnectionError):
        while request is not None:
            if request.data:
                writer.write(request.data)
                await writer.drain()
            if request.end and writer.can_write_eof():
                writer.write_eof()
            request = await stream.recv_message()
        if writer.can_write_eof() and not writer.transport.is_closing():
            writer.write_eof()


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"
