"""A port or socket inside a task's sandbox that leads to this side, over cuts, restarts and moves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import grpc

from rc_client.channel import translated
from rc_client.client import DaemonClient
from rc_client.connection import LONGEST_PAUSE, PAUSE, Connection, sandbox_metadata
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.v1 import forward_pb2 as pb

# After a cut: the link is away, or what listened before it has not let go of the port yet.
_AGAIN = (ErrorCode.UNAVAILABLE, ErrorCode.PRECONDITION)


class Listener:
    """Listens in the sandbox; `accept` carries each connection on this side."""

    def __init__(
        self, client: DaemonClient, task: str, endpoint: str, accept: Callable[[Connection], Awaitable[None]]
    ) -> None:
        self._client, self._task, self._endpoint, self._accept = client, task, endpoint, accept
        self._background = Background(f"listen {endpoint}")

    async def listen(self) -> str:
        """Begin; the endpoint that was got (port 0: any). Raises precondition for one that is taken."""
        call, self._endpoint = await self._listen()
        self._background.spawn(self._serve(call), "accept")
        return self._endpoint

    async def close(self) -> None:
        """Stop listening and end every connection."""
        await self._background.close()

    async def _listen(self) -> tuple[Any, str]:
        metadata = await sandbox_metadata(self._client, self._task)
        call = self._client.forwards.ListenForward(pb.ListenForwardRequest(endpoint=self._endpoint), metadata=metadata)
        with translated():
            first = await call.read()
        if first is grpc.aio.EOF:
            raise errors.unavailable(f"nothing listens at {self._endpoint} in the sandbox")
        return call, str(first.endpoint)

    async def _serve(self, call: Any) -> None:
        pause = PAUSE
        while True:
            try:
                if call is None:
                    call, _ = await self._listen()
                pause = PAUSE
                with translated():
                    while (answer := await call.read()) is not grpc.aio.EOF:
                        self._background.spawn(self._carry(answer.connection_id), "connection")
            except RemoteClaudeError as error:
                if error.code not in _AGAIN:
                    raise
            finally:
                if call is not None:
                    call.cancel()
                    call = None
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _carry(self, connection_id: str) -> None:
        # Whatever ends one side ends the other.
        with suppress(RemoteClaudeError, OSError):
            call = self._client.forwards.CarryForward(metadata=await sandbox_metadata(self._client, self._task))
            connection = Connection(call, pb.CarryForwardRequest)
            try:
                with translated():
                    await call.write(pb.CarryForwardRequest(connection_id=connection_id))
                await self._accept(connection)
            finally:
                connection.close()
