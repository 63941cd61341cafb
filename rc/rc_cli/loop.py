"""Runs a command's coroutine with a connected client; Ctrl-C ends it with KeyboardInterrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

T = TypeVar("T")


def with_client(work: Callable[[DaemonClient], Awaitable[T]], *, start: bool = True) -> T:
    """Connect (starting the daemon), do the work, hang up."""
    from rc_client.client import DaemonClient

    async def whole() -> T:
        async with await DaemonClient.connect(start=start) as client:
            return await work(client)

    return asyncio.run(whole())
