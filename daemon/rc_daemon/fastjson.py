"""The second socket: the same methods as Connect unary calls, JSON over HTTP/1.1, for clients that import nothing.

The protocol is https://connectrpc.com/docs/protocol (unary): POST /package.Service/Method, an error is an HTTP status
with {"code", "message"}; ours adds "rcCode" and "hint".
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path

import h11
from google.protobuf import json_format

from rc_daemon.api.call import Call
from rc_daemon.api.methods import Method, check_version
from rc_daemon.api.rows import TaskRows
from rc_protos import errors, platform
from rc_protos.errors import RemoteClaudeError
from rc_protos.v1.task_pb2 import ListTasksRequest

log = logging.getLogger("rc.json")

BODY_MOST = 16 << 20
IDLE_SECONDS = 60.0
# Stopping and removing save work first; a big repository takes its time.
CALL_SECONDS = 600.0
TIMEOUT_KEY = "connect-timeout-ms"
JSON = [("content-type", "application/json")]


class JsonServer:
    """Unary methods only."""

    def __init__(self, methods: Mapping[str, Method], rows: TaskRows) -> None:
        self._methods = {path: method for path, method in methods.items() if not method.streams}
        self._rows = rows
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self, path: Path) -> None:
        """Begin to serve; whatever was at the path is replaced."""
        path.unlink(missing_ok=True)
        with platform.socket_address(path) as address:
            self._server = await asyncio.start_unix_server(self._serve, address)
        path.chmod(0o600)

    async def stop(self) -> None:
        """Hang up."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, TimeoutError) as error:
            log.debug("json connection: %s", error)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request and its answer; False when the connection is done."""
        try:
            received = await _receive(connection, reader)
            if received is None:
                return False
            status, answer = await self._answer(*received)
        except h11.RemoteProtocolError as error:
            status, answer = _refusal(errors.usage(f"this is not HTTP/1.1: {error}"))
        except RemoteClaudeError as error:
            status, answer = _refusal(error)
        headers = [*JSON, ("content-length", str(len(answer)))]
        if connection.their_state is not h11.DONE:
            # What is left of the request is not read.
            headers.append(("connection", "close"))
        for part in (h11.Response(status_code=status, headers=headers), h11.Data(answer), h11.EndOfMessage()):
            writer.write(connection.send(part) or b"")
        await writer.drain()
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _answer(self, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        path = request.target.decode("ascii", "replace")
        metadata = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
        call = Call(metadata=metadata)
        # First: a newer client may call what is not here, or send what cannot be read.
        check_version(path, call)
        method = self._methods.get(path)
        if request.method != b"POST" or method is None:
            raise errors.unsupported(f"there is no {path} here", "it takes POST /rc.v1.Service/Method")
        try:
            message = json_format.Parse(body or b"{}", method.request(), ignore_unknown_fields=True)
        except (json_format.ParseError, ValueError) as error:
            raise errors.usage(f"{path}: {str(error).splitlines()[0]}") from None
        seconds = _seconds(metadata.get(TIMEOUT_KEY, ""))
        try:
            async with asyncio.timeout(seconds):
                if isinstance(message, ListTasksRequest):
                    return 200, await self._rows.answer(message)
                answer = await method.answer(message, call)
        except TimeoutError:
            raise errors.timeout(f"{path} took longer than {seconds:g} s") from None
        return 200, json_format.MessageToJson(answer, indent=None).encode()


async def _receive(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[h11.Request, bytes] | None:
    """The next whole request; None at the end of the connection."""
    request, body = None, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            async with asyncio.timeout(IDLE_SECONDS):
                connection.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > BODY_MOST:
                raise errors.exhausted(f"the request is larger than {BODY_MOST >> 20} MiB")
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            return request, bytes(body)
        else:
            return None


def _seconds(milliseconds: str) -> float:
    """The caller's deadline, or ours."""
    return min(int(milliseconds) / 1000, CALL_SECONDS) if milliseconds.isdecimal() else CALL_SECONDS


def _refusal(error: RemoteClaudeError) -> tuple[int, bytes]:
    border = error.border
    said = {"code": border.connect, "message": error.message, "rcCode": str(error.code), "hint": error.hint}
    return border.http, json.dumps(said).encode()
