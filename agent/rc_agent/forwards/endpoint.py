"""Endpoints as text: `tcp:HOST:PORT` (an IPv6 host in brackets) or `unix:/path`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

from rc_protos import errors

DIAL_SECONDS = 10.0
Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def dial(endpoint: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to it; raises usage, unavailable when nobody listens there."""
    kind, host, port = _parse(endpoint)
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            if kind == "unix":
                return await asyncio.open_unix_connection(host)
            return await asyncio.open_connection(host, port)
    except TimeoutError:
        raise errors.timeout(f"nothing answers at {endpoint} in the sandbox within {DIAL_SECONDS:g} s") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise errors.unavailable(f"nothing answers at {endpoint} in the sandbox: {why}") from None


async def listen(endpoint: str, accept: Accept) -> tuple[asyncio.Server, str]:
    """A listener and the endpoint it got (port 0: any); raises already_exists for one that is taken."""
    kind, host, port = _parse(endpoint)
    try:
        if kind == "unix":
            return await asyncio.start_unix_server(accept, host), endpoint
        server = await asyncio.start_server(accept, host, port)
    except OSError as error:
        raise errors.precondition(
            f"cannot listen at {endpoint} in the sandbox: {error.strerror or error}", "choose another port"
        ) from None
    bound = server.sockets[0].getsockname()
    return server, f"tcp:{f'[{bound[0]}]' if ':' in bound[0] else bound[0]}:{bound[1]}"


def _parse(endpoint: str) -> tuple[str, str, int]:
    kind, _, rest = endpoint.partition(":")
    host, _, port = rest.rpartition(":")
    if kind == "unix" and os.path.isabs(rest):
        return kind, rest, 0
    if kind == "tcp" and host and port.isdigit() and int(port) < 65536:
        return kind, host.removeprefix("[").removesuffix("]"), int(port)
    raise errors.usage(f"{endpoint!r} is no endpoint", "such as: tcp:127.0.0.1:8080 or unix:/run/app.sock")
