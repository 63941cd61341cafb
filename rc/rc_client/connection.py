"""One connection of a task's sandbox, carried by a call: its bytes both ways, and each side's half-close."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Any, Protocol

import grpc

from rc_client.channel import PROTOCOL_METADATA, translated
from rc_client.client import DaemonClient
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.v1 import forward_pb2 as pb

CHUNK = 64 << 10
# How long a new connection waits for a link that is away.
PATIENCE = 30.0
PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Reader(Protocol):
    """What comes from this side; empty at its end."""

    async def read(self, n: int, /) -> bytes: ...


class Writer(Protocol):
    """What goes to this side."""

    def write(self, data: bytes, /) -> None: ...
    async def drain(self) -> None: ...
    def can_write_eof(self) -> bool: ...
    def write_eof(self) -> None: ...


class Connection:
    """A connection that is made in the sandbox; `carry` once, then `close`."""

    def __init__(self, call: Any, message: type[Any]) -> None:
        self._call, self._message = call, message

    async def carry(self, reader: Reader, writer: Writer) -> None:
        """Copy both ways until the sandbox's side has ended; raises RemoteClaudeError if it was cut."""
        async with Background("connection") as background:
            background.spawn(self._outward(reader), "out")
            with translated():
                await self._inward(writer)

    def close(self) -> None:
        """Hang up."""
        self._call.cancel()

    async def _outward(self, reader: Reader) -> None:
        # The reading side learns of a cut too, and tells it.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while data := await reader.read(CHUNK):
                await self._call.write(self._message(data=data))
            await self._call.write(self._message(end=True))
            await self._call.done_writing()

    async def _inward(self, writer: Writer) -> None:
        while (answer := await self._call.read()) is not grpc.aio.EOF:
            if answer.data:
                writer.write(answer.data)
                await writer.drain()
            if answer.end and writer.can_write_eof():
                writer.write_eof()


async def connect(client: DaemonClient, task: str, endpoint: str) -> Connection:
    """To an endpoint in the sandbox that the task has now, as `tcp:127.0.0.1:80`; waits for a link that is away."""
    pause, deadline = PAUSE, time.monotonic() + PATIENCE
    while True:
        try:
            return await _connect(client, task, endpoint)
        except RemoteClaudeError as error:
            refused = error.code is not ErrorCode.UNAVAILABLE or endpoint in error.message
            if refused or time.monotonic() > deadline:
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        pause = min(pause * 2, LONGEST_PAUSE)


async def sandbox_metadata(client: DaemonClient, task: str) -> tuple[tuple[str, str], ...]:
    """For calls into the sandbox that the task has now."""
    return (*PROTOCOL_METADATA, ("rc-sandbox", (await client.get_task(task)).sandbox_id))


async def _connect(client: DaemonClient, task: str, endpoint: str) -> Connection:
    call = client.forwards.ConnectForward(metadata=await sandbox_metadata(client, task))
    try:
        with translated():
            await call.write(pb.ConnectForwardRequest(endpoint=endpoint))
            await call.read()
    except BaseException:
        call.cancel()
        raise
    return Connection(call, pb.ConnectForwardRequest)
