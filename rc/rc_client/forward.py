"""A port on this side that leads into a task's sandbox, over cuts, restarts and moves."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Any

import grpc

from rc_client.channel import PROTOCOL_METADATA, translated
from rc_client.client import DaemonClient
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.v1 import forward_pb2 as pb

CHUNK = 64 << 10
# How long a new connection waits for a link that is away.
PATIENCE = 30.0
PAUSE, LONGEST_PAUSE = 0.05, 1.0


class Forward:
    """Listens here; each connection is carried into the sandbox that the task has at that moment."""

    def __init__(self, client: DaemonClient, task: str, endpoint: str) -> None:
        """`endpoint`: where in the sandbox, as `tcp:127.0.0.1:80`."""
        self._client = client
        self._task = task
        self._endpoint = endpoint
        self._background = Background(f"forward {endpoint}")
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Begin; the port that was got (0: any). Raises precondition for one that is in use."""
        try:
            self._server = await asyncio.start_server(self._accept, host, port)
        except OSError as error:
            raise errors.precondition(
                f"cannot listen on {host} port {port}: {error.strerror or error}",
                f"choose another one, such as 0:{self._endpoint.rpartition(':')[2]}",
            ) from None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._server is not None:
            self._server.close()
        await self._background.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._background.spawn(self._carry(reader, writer), "connection")

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Whatever ends the far side ends this one.
            with suppress(RemoteClaudeError, ConnectionError), translated():
                call = await self._connect()
                outward = self._background.spawn(_outward(reader, call), "out")
                try:
                    await _inward(call, writer)
                finally:
                    outward.cancel()
                    call.cancel()
        finally:
            writer.close()

    async def _connect(self) -> Any:
        """A call that carries one connection; waits for a link that is away."""
        pause, deadline = PAUSE, time.monotonic() + PATIENCE
        while True:
            try:
                return await self._call()
            except RemoteClaudeError as error:
                refused = error.code is not ErrorCode.UNAVAILABLE or self._endpoint in error.message
                if refused or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _call(self) -> Any:
        task = await self._client.get_task(self._task)
        call = self._client.forwards.ConnectForward(metadata=(*PROTOCOL_METADATA, ("rc-sandbox", task.sandbox_id)))
        try:
            with translated():
                await call.write(pb.ConnectForwardRequest(endpoint=self._endpoint))
                await call.read()
        except BaseException:
            call.cancel()
            raise
        return call


async def _outward(reader: asyncio.StreamReader, call: Any) -> None:
    with translated():
        while data := await reader.read(CHUNK):
            await call.write(pb.ConnectForwardRequest(data=data))
        await call.write(pb.ConnectForwardRequest(end=True))
        await call.done_writing()


async def _inward(call: Any, writer: asyncio.StreamWriter) -> None:
    while (answer := await call.read()) is not grpc.aio.EOF:
        if answer.data:
            writer.write(answer.data)
            await writer.drain()
        if answer.end and writer.can_write_eof():
            writer.write_eof()
