"""gRPC to the daemon: the channel, and the one place where its failures become ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import grpc

from rc_protos import errors
from rc_protos.errors import CODE_KEY, HINT_KEY, RemoteClaudeError
from rc_protos.version import PROTOCOL

PROTOCOL_METADATA = (("rc-protocol", str(PROTOCOL)),)
OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.max_send_message_length", 64 << 20),
)


def open_channel(address: str) -> grpc.aio.Channel:
    """A channel to the daemon's socket; it connects again by itself."""
    return grpc.aio.insecure_channel(f"unix:{address}", options=OPTIONS)


@contextmanager
def translated() -> Iterator[None]:
    """Failed calls in the block raise RemoteClaudeError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_call(error) from error


@contextmanager
def streaming(call: Any) -> Iterator[Any]:
    """The answers of a streaming call: it ends with the block, and its failures raise RemoteClaudeError."""
    try:
        with translated():
            yield call
    finally:
        call.cancel()


def from_call(error: grpc.aio.AioRpcError) -> RemoteClaudeError:
    """What the daemon meant."""
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())
    hint = trailers.get(HINT_KEY, b"")
    text = hint.decode("utf-8", "replace") if isinstance(hint, bytes) else str(hint)
    code = str(trailers.get(CODE_KEY, ""))
    status = error.code().name
    message = error.details() or status
    # Without a code gRPC itself speaks, not the daemon; INTERNAL: the connection ended while a message was on its way.
    if not code and status in ("UNAVAILABLE", "INTERNAL"):
        return errors.unavailable("the daemon is not reachable", "it may be restarting; see: rc daemon status")
    if not code and status == "UNIMPLEMENTED":
        return errors.precondition("the daemon is older than this rc", "run: rc daemon restart")
    return errors.from_wire(code, message, text, grpc_status=status)
