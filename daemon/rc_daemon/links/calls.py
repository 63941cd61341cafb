"""Calls over a link: grpclib's failures become ours, in this one place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
from grpclib.metadata import decode_metadata
from h2.exceptions import H2Error

from rc_protos import errors
from rc_protos.errors import CODE_KEY, HINT_KEY, RemoteClaudeError

CALL_SECONDS = 30.0


async def unary(method: Any, request: Any, *, timeout: float = CALL_SECONDS) -> Any:
    """One request, one answer."""
    async with opened(method.open(timeout=timeout)) as stream:
        await stream.send_message(request, end=True)
        answer = await stream.recv_message()
        await stream.recv_trailing_metadata()
    if answer is None:
        raise errors.unavailable("the sandbox gave no answer")
    return answer


async def streaming(method: Any, request: Any, *, timeout: float | None = None) -> AsyncIterator[Any]:
    """One request, many answers."""
    async with opened(method.open(timeout=timeout)) as stream:
        await stream.send_message(request, end=True)
        while (answer := await stream.recv_message()) is not None:
            yield answer
        await stream.recv_trailing_metadata()


@asynccontextmanager
async def opened(stream: Any) -> AsyncIterator[Any]:
    """A call that may be left at any point: what is not over by then is cancelled; failures are RemoteClaudeError."""
    with translated(stream):
        async with stream:
            yield stream
            if stream._send_request_done and not stream._recv_trailing_metadata_done:
                await _leave(stream)


async def _leave(stream: Any) -> None:
    if stream._stream.closable:
        await stream.cancel()
    else:
        # The other side has ended it, and what it said is not wanted.
        stream._cancel_done = True


async def trailers(stream: Any) -> None:
    """Take in the trailers of a call whose answers have ended; raises what they say."""
    # grpclib shows them only after our half-close, but the other side may well end first.
    stream._end_done = True
    await stream.recv_trailing_metadata()


@contextmanager
def translated(stream: Any) -> Iterator[None]:
    """Failures of a call in the block become RemoteClaudeError; a cut is UNAVAILABLE."""
    try:
        yield
    except GRPCError as error:
        raise from_status(error, _trailing(stream)) from error
    except TimeoutError as error:
        raise errors.timeout("the sandbox did not answer in time") from error
    except (StreamTerminatedError, ProtocolError, H2Error, OSError) as error:
        raise errors.unavailable(f"the link into the sandbox is cut: {error}") from error


def from_status(error: GRPCError, trailers: Any) -> RemoteClaudeError:
    """The other side's refusal as it was meant."""
    trailers = trailers or {}
    hint = trailers.get(HINT_KEY, b"")
    text = hint.decode("utf-8", "replace") if isinstance(hint, bytes) else str(hint)
    return errors.from_wire(
        str(trailers.get(CODE_KEY, "")), error.message or error.status.name, text, grpc_status=error.status.name
    )


def _trailing(stream: Any) -> Any:
    """The trailing metadata of a refusal, even of one that grpclib found while it cleaned up."""
    if stream.trailing_metadata is not None or not stream._send_request_done:
        return stream.trailing_metadata
    found = stream._stream.trailers or stream._stream.headers
    return decode_metadata(found) if found is not None else None
