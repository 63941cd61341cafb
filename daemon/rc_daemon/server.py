"""The daemon's gRPC socket: the table of methods, and the proxy for everything that goes to a sandbox."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc

from rc_daemon.api.call import Call
from rc_daemon.api.methods import Method
from rc_daemon.links.proxy import SandboxProxy, abort
from rc_protos import platform
from rc_protos.errors import RemoteClaudeError

log = logging.getLogger("rc.server")

MESSAGE_MOST = 64 << 20
OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MOST),
    ("grpc.max_send_message_length", MESSAGE_MOST),
    # Clients may ping an idle stream; the defaults would cut them off for it.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
)
GRACE_SECONDS = 1.0


class MethodHandlers(grpc.GenericRpcHandler):
    """Serves the table of methods."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        method = self._methods.get(details.method)
        if method is None:
            return None
        make: Any = grpc.unary_stream_rpc_method_handler if method.streams else grpc.unary_unary_rpc_method_handler
        answer = _streaming(method) if method.streams else _unary(method)
        return make(answer, request_deserializer=method.request.FromString, response_serializer=_serialize)


class Server:
    """Listens on one unix socket; the daemon's lock is held already."""

    def __init__(self, methods: Mapping[str, Method], proxy: SandboxProxy) -> None:
        self._server = grpc.aio.server(options=OPTIONS)
        self._server.add_generic_rpc_handlers((MethodHandlers(methods), proxy))

    async def start(self, path: Path) -> None:
        """Begin to serve; whatever was at the path is replaced."""
        path.unlink(missing_ok=True)
        # gRPC takes no descriptor: the short name must hold for the whole of the call.
        with platform.socket_address(path) as address:
            self._server.add_insecure_port(f"unix:{address}")
            await self._server.start()
        path.chmod(0o600)

    async def stop(self) -> None:
        """End every call within the grace time."""
        await self._server.stop(GRACE_SECONDS)


def _call(context: Any) -> Call:
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    return Call(metadata=metadata)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _unary(method: Method) -> Any:
    async def call(request: Any, context: Any) -> Any:
        try:
            return await method.answer(request, _call(context))
        except RemoteClaudeError as error:
            await abort(context, error)

    return call


def _streaming(method: Method) -> Any:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in method.answers(request, _call(context)):
                yield answer
        except RemoteClaudeError as error:
            await abort(context, error)

    return call
