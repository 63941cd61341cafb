"""The daemon's JSON socket with nothing but the standard library: for commands that must answer at once.

One Connect unary call is one HTTP/1.1 POST; see rc_daemon.fastjson.
"""

from __future__ import annotations

import _socket

from rc_client.quick_json import decode, encode
from rc_protos.roots import JSON_SOCKET, roots
from rc_protos.version import PROTOCOL

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rc_protos.errors import RemoteClaudeError

SECONDS = 30.0
# Where the kernel's limit on socket paths begins to matter.
_LONGEST = 100


def call(method: str, request: dict[str, Any] | None = None, *, start: bool = True, seconds: float = SECONDS) -> Any:
    """Call "Service.Method" with a JSON message; the answer decoded. Raises RemoteClaudeError."""
    return decode(call_bytes(method, request, start=start, seconds=seconds))


def call_bytes(
    method: str, request: dict[str, Any] | None = None, *, start: bool = True, seconds: float = SECONDS
) -> bytes:
    """As `call`, the answer as it came."""
    service, _, name = method.partition(".")
    body = encode(request) if request else b"{}"
    head = (
        f"POST /rc.v1.{service}/{name} HTTP/1.1\r\nhost: rc\r\ncontent-type: application/json\r\n"
        f"rc-protocol: {PROTOCOL}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    connection = _connect(start)
    try:
        connection.settimeout(seconds)
        try:  # noqa: SIM105 - contextlib is not imported yet
            connection.sendall(head.encode() + body)
        except ConnectionError:
            # It may have answered and hung up before it had read all.
            pass
        data = _receive(connection)
    except OSError as error:
        raise _unavailable(f"the daemon hung up: {error}", "see: rc daemon status") from None
    finally:
        connection.close()
    return _answer(data)


def _connect(start: bool) -> _socket.socket:
    path = f"{roots()[0]}/{JSON_SOCKET}"
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        if len(path) <= _LONGEST:
            connection.connect(path)
            return connection
    except OSError:
        connection.close()
        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    from rc_client.start import ensure
    from rc_protos.platform import socket_address

    places = ensure(start=start)
    with socket_address(places.json_socket) as address:
        connection.connect(address)
    return connection


def _receive(connection: _socket.socket) -> bytes:
    parts = []
    try:
        while part := connection.recv(1 << 20):
            parts.append(part)
    except ConnectionResetError:
        # It does not read all of a request that it refuses; whether this is an answer is seen by who decodes it.
        pass
    return b"".join(parts)


def _answer(data: bytes) -> bytes:
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        raise _unavailable("the daemon gave no answer", "see: rc daemon logs")
    if head.startswith(b"HTTP/1.1 200"):
        return body
    raise _refused(head, body)


def _refused(head: bytes, body: bytes) -> RemoteClaudeError:
    from rc_protos.errors import from_wire

    try:
        said = decode(body)
    except ValueError:
        return _unavailable(f"the daemon answered {head.splitlines()[0]!r}", "see: rc daemon logs")
    return from_wire(said.get("rcCode", ""), said.get("message", ""), said.get("hint", ""))


def _unavailable(message: str, hint: str) -> RemoteClaudeError:
    from rc_protos.errors import unavailable

    return unavailable(message, hint)
