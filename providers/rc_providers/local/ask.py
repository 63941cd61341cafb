"""Asking the supervisor of a local sandbox to start a command. Blocks; light imports only."""

from __future__ import annotations

import socket
import time

from rc_protos import errors, platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SECONDS = 20.0
ANSWER_MOST = 65536
# Its name in the sandbox's state directory.
SOCKET = "supervisor.sock"


def start(path: Path, name: str, argv: Sequence[bytes], stream: socket.socket) -> None:
    """Have the supervisor at this socket start `argv` with `stream` as stdin and stdout.

    Raises usage, unavailable, or not_found for a command that cannot be run.
    """
    if not argv or any(b"\0" in word for word in argv):
        raise errors.usage("a command is at least one word, and no word holds a zero byte")
    try:
        with _dial(path) as connection:
            body = b"\0".join(argv)
            message = len(body).to_bytes(4, "big") + body
            sent = socket.send_fds(connection, [message], [stream.fileno()])
            if sent < len(message):
                # Even an empty send fails once the supervisor has answered and hung up.
                connection.sendall(message[sent:])
            refusal = _answer(connection).decode("utf-8", "replace").strip()
    except (OSError, ValueError) as error:
        raise errors.unavailable(f"the sandbox {name} does not answer: {error}") from error
    if refusal:
        raise errors.not_found(f"cannot run {argv[0].decode('utf-8', 'replace')} in the sandbox: {refusal}")


def _answer(connection: socket.socket) -> bytes:
    """One line; what runs inside may have taken the supervisor's place, so it gets neither memory nor time."""
    deadline = time.monotonic() + SECONDS
    answer = b""
    while not answer.endswith(b"\n"):
        more = connection.recv(4096)
        if not more or len(answer) > ANSWER_MOST or time.monotonic() > deadline:
            raise ValueError("the supervisor hung up" if not more else "the supervisor does not end its answer")
        answer += more
    return answer


def _dial(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(SECONDS)
    try:
        with platform.socket_itself(path) as address:
            connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection
