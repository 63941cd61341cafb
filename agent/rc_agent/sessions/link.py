"""A conversation with one holder over its unix socket."""

from __future__ import annotations

import asyncio
from typing import Any, Self

from rc_agent.frames import pack, unpack
from rc_agent.holder.control import SOCKET
from rc_agent.home import socket_address
from rc_protos import errors

_ANSWER = 10.0


class HolderGone(Exception):
    """The holder has hung up: the session has ended and the files tell the rest."""


class HolderLink:
    """One connection to a holder; the caller closes it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, directory: str) -> Self:
        """Connect to the holder of the session in `directory`; raises HolderGone."""
        try:
            async with asyncio.timeout(_ANSWER):
                return cls(*await asyncio.open_unix_connection(socket_address(directory, SOCKET)))
        except (FileNotFoundError, ConnectionError) as error:
            raise HolderGone from error

    async def send(self, message: dict[str, Any]) -> None:
        """Send a request, waiting while the holder takes no more."""
        try:
            self._writer.write(pack(message))
            await self._writer.drain()
        except ConnectionError as error:
            raise HolderGone from error

    async def receive(self) -> dict[str, Any]:
        """The holder's next message; raises HolderGone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            return unpack(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise HolderGone from error

    async def ask(self, message: dict[str, Any]) -> None:
        """Send a request that is answered with ok or an error."""
        async with asyncio.timeout(_ANSWER):
            await self.send(message)
            answer = await self.receive()
        if answer["t"] == b"error":
            raise errors.precondition(answer["text"].decode("utf-8", "replace"))

    async def state(self, beyond: int = 0) -> dict[str, Any]:
        """The session's state, once its version has passed `beyond`."""
        await self.send({"t": "wait", "version": beyond})
        return await self.receive()

    async def gone(self) -> None:
        """Wait until the holder has hung up."""
        while await self._reader.read(65536):
            pass

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()
