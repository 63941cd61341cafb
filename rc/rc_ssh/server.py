"""The SSH server on the host: each thing that a client asks for is one of the sandbox's sessions or connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import asyncssh
from asyncssh.stream import SSHTCPStreamSession, SSHUNIXStreamSession

from rc_client.client import DaemonClient
from rc_client.connection import Connection, connect
from rc_client.listener import Listener
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError
from rc_ssh import command
from rc_ssh.channel import Channel

Open = Callable[[], Awaitable[tuple[Any, Any]]]
# As sshd without GatewayPorts: whatever address was asked for.
_LOOPBACK = "127.0.0.1"


class Server(asyncssh.SSHServer):
    """One connection of a client to one task; whoever can start this process is let in."""

    def __init__(self, client: DaemonClient, task: str, background: Background) -> None:
        self._client, self._task, self._background = client, task, background
        self._connection: asyncssh.SSHServerConnection

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """The client is there."""
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        """The way here is the user's own process and socket: there is nobody to be asked."""
        return False

    def session_requested(self) -> Channel:
        """A command, a shell or SFTP."""
        return Channel(
            lambda channel: self._background.spawn(command.run(self._client, self._task, channel), "channel")
        )

    async def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> Any:
        """`ssh -L`."""
        host = f"[{dest_host}]" if ":" in dest_host else dest_host
        return SSHTCPStreamSession[bytes](await self._connect(f"tcp:{host}:{dest_port}"))

    async def unix_connection_requested(self, dest_path: str) -> Any:
        """`ssh -L` to a socket."""
        return SSHUNIXStreamSession[bytes](await self._connect(f"unix:{dest_path}"))

    async def server_requested(self, listen_host: str, listen_port: int) -> Any:
        """`ssh -R`."""

        async def open_() -> tuple[Any, Any]:
            return await self._connection.open_connection(listen_host, port)

        listener, endpoint = await self._listen(f"tcp:{_LOOPBACK}:{listen_port}", open_)
        port = int(endpoint.rpartition(":")[2]) if endpoint else 0
        return listener and _Listening(self._background, listener, port)

    async def unix_server_requested(self, listen_path: str) -> Any:
        """`ssh -R` from a socket."""

        async def open_() -> tuple[Any, Any]:
            return await self._connection.open_unix_connection(listen_path)

        listener, _ = await self._listen(f"unix:{listen_path}", open_)
        return listener and _Listening(self._background, listener, 0)

    async def _connect(self, endpoint: str) -> Callable[[Any, Any], Awaitable[None]]:
        try:
            connection = await connect(self._client, self._task, endpoint)
        except RemoteClaudeError as error:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_CONNECT_FAILED, error.message) from None

        async def handle(reader: Any, writer: Any) -> None:
            await _carry(connection, reader, writer)

        return handle

    async def _listen(self, endpoint: str, open_: Open) -> tuple[Listener | None, str]:
        """(None, ""): refused; the client says so."""

        async def accept(connection: Connection) -> None:
            with suppress(asyncssh.Error):
                await _carry(connection, *await open_())

        listener = Listener(self._client, self._task, endpoint, accept)
        try:
            return listener, await listener.listen()
        except RemoteClaudeError:
            await listener.close()
            return None, ""


class _Listening(asyncssh.SSHListener):
    """A listener in the sandbox as asyncssh sees it."""

    def __init__(self, background: Background, listener: Listener, port: int) -> None:
        super().__init__()
        self._background, self._listener, self._port = background, listener, port

    def get_port(self) -> int:
        """The port that was got."""
        return self._port

    def close(self) -> None:
        """The client has cancelled it, or has gone."""
        with suppress(RuntimeError):
            self._background.spawn(self._listener.close(), "close")

    async def wait_closed(self) -> None:
        """Nothing is left to wait for."""


async def _carry(connection: Connection, reader: Any, writer: Any) -> None:
    """Whatever ends one side ends the other."""
    try:
        with suppress(RemoteClaudeError, OSError, asyncssh.Error):
            await connection.carry(reader, writer)
    finally:
        connection.close()
        writer.close()
