"""What every service does with a call."""

from __future__ import annotations

from typing import Any

from grpclib.server import Stream

from rc_protos import errors


async def received(stream: Stream[Any, Any]) -> Any:
    """The call's first message; raises usage when there is none."""
    request = await stream.recv_message()
    if request is None:
        raise errors.usage("the call carried no message")
    return request
