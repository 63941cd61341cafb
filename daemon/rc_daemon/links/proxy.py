"""Passes every ROUTE_SANDBOX call to the agent of its sandbox as raw bytes, both ways, without decoding a message."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Any

import grpc
from grpclib.client import Stream
from grpclib.const import Cardinality

from rc_daemon.links.calls import opened, trailers
from rc_daemon.links.link import SandboxLink
from rc_protos import errors, v1
from rc_protos.background import Background
from rc_protos.errors import CODE_KEY, HINT_KEY, RemoteClaudeError
from rc_protos.v1 import options_pb2

SANDBOX_KEY = "rc-sandbox"
# How long a call waits for a link that is down, within its own deadline.
LINK_SECONDS = 5.0
# Headers of the transport itself, which the next transport makes anew, as it does with all of grpc-*.
_OWN = frozenset({"user-agent", "content-type", "te", SANDBOX_KEY})

FindLink = Callable[[str], Awaitable[SandboxLink]]


@cache
def sandbox_methods() -> frozenset[str]:
    """Full names of the methods with ROUTE_SANDBOX, `/rc.v1.Service/Method`."""
    found = set()
    for module in pkgutil.iter_modules(v1.__path__):
        if module.name.endswith("_pb2"):
            descriptor = importlib.import_module(f"rc_protos.v1.{module.name}").DESCRIPTOR
            for service in descriptor.services_by_name.values():
                for method in service.methods:
                    if method.GetOptions().Extensions[options_pb2.route] == options_pb2.ROUTE_SANDBOX:
                        found.add(f"/{service.full_name}/{method.name}")
    return frozenset(found)


class SandboxProxy(grpc.GenericRpcHandler):
    """A generic handler for grpc.aio; `find` gives the link of a sandbox id or raises not_found."""

    def __init__(self, find: FindLink, background: Background) -> None:
        self._find = find
        self._background = background

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        method = details.method
        if method not in sandbox_methods():
            return None

        async def call(requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext[Any, Any]) -> None:
            try:
                await self._pass(method, context)
            except RemoteClaudeError as error:
                await abort(context, error)

        return grpc.stream_stream_rpc_method_handler(call)

    async def _pass(self, method: str, context: Any) -> None:
        given = tuple(context.invocation_metadata() or ())
        sandbox_id = next((value for key, value in given if key == SANDBOX_KEY), "")
        if not sandbox_id:
            raise errors.usage(f"{method}: the metadata {SANDBOX_KEY} is missing", "it names the sandbox")
        link = await self._find(sandbox_id)
        left = context.time_remaining()
        await link.up(LINK_SECONDS if left is None else min(LINK_SECONDS, left))
        stream: Stream[bytes, bytes] = link.raw.request(
            method,
            Cardinality.STREAM_STREAM,
            bytes,
            bytes,
            timeout=context.time_remaining(),
            metadata=[(key, value) for key, value in given if key not in _OWN and not key.startswith("grpc-")],
        )
        async with opened(stream):
            await stream.send_request()
            sender = self._background.spawn(_send(stream, context), f"send {method}")
            try:
                await self._answers(stream, context)
            finally:
                sender.cancel()
                await asyncio.wait([sender])
        context.set_trailing_metadata(tuple((stream.trailing_metadata or {}).items()))

    async def _answers(self, stream: Stream[bytes, bytes], context: Any) -> None:
        await stream.recv_initial_metadata()
        if stream.initial_metadata:
            await context.send_initial_metadata(tuple(stream.initial_metadata.items()))
        while (answer := await stream.recv_message()) is not None:
            await context.write(answer)
        await trailers(stream)


async def _send(stream: Stream[bytes, bytes], context: Any) -> None:
    """The caller's messages, then its half-close; a cut shows on the receiving side."""
    try:
        while (message := await context.read()) is not grpc.aio.EOF:
            await stream.send_message(message)
        await stream.end()
    except Exception:  # the call ends with the reason that the receiving side sees
        return


async def abort(context: Any, error: RemoteClaudeError) -> None:
    """End a grpc.aio call with our error: status, message, and code and hint as trailing metadata."""
    trailers: list[tuple[str, str | bytes]] = [(CODE_KEY, str(error.code))]
    if error.hint:
        trailers.append((HINT_KEY, error.hint.encode()))
    await context.abort(grpc.StatusCode[error.border.grpc], error.message, tuple(trailers))
