"""A port on this side that leads into a task's sandbox, over cuts, restarts and moves."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rc_client.client import DaemonClient
from rc_client.connection import connect
from rc_protos import errors
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError


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
            with suppress(RemoteClaudeError, ConnectionError):
                connection = await connect(self._client, self._task, self._endpoint)
                try:
                    await connection.carry(reader, writer)
                finally:
                    connection.close()
        finally:
            writer.close()
