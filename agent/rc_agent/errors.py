"""The agent's border: every failure of a call becomes a status with our code and hint in the trailers, here only."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any

from grpclib.const import Handler, Status
from grpclib.server import Stream

from rc_protos.errors import CODE_KEY, HINT_KEY, ErrorCode, RemoteClaudeError

Method = Callable[[Any], Awaitable[None]]
Check = Callable[[Stream[Any, Any], str], None]

_BY_ERRNO = {
    errno.ENOENT: ErrorCode.NOT_FOUND,
    errno.EACCES: ErrorCode.PERMISSION,
    errno.EPERM: ErrorCode.PERMISSION,
    errno.EROFS: ErrorCode.PERMISSION,
    errno.ENOSPC: ErrorCode.EXHAUSTED,
    errno.EDQUOT: ErrorCode.EXHAUSTED,
    errno.EMFILE: ErrorCode.EXHAUSTED,
    errno.ENOMEM: ErrorCode.EXHAUSTED,
    errno.EEXIST: ErrorCode.ALREADY_EXISTS,
    errno.EISDIR: ErrorCode.PRECONDITION,
    errno.ENOTDIR: ErrorCode.PRECONDITION,
    errno.ENOTEMPTY: ErrorCode.PRECONDITION,
    errno.ELOOP: ErrorCode.PRECONDITION,
    errno.ENAMETOOLONG: ErrorCode.USAGE,
    errno.EINVAL: ErrorCode.USAGE,
    errno.ESRCH: ErrorCode.PRECONDITION,
}


def from_errno(number: int, what: str) -> RemoteClaudeError:
    """The error for an errno; `what` says what failed and on what."""
    code = _BY_ERRNO.get(number, ErrorCode.INTERNAL)
    hint = "free some space in the sandbox" if code is ErrorCode.EXHAUSTED else ""
    return RemoteClaudeError(f"{what}: {os.strerror(number)}", hint, code=code)


class Border:
    """Wraps a service: checks every call first, and translates what it raises."""

    def __init__(self, service: Any, check: Check) -> None:
        self._service = service
        self._check = check

    def __mapping__(self) -> dict[str, Handler]:
        """The service's methods, wrapped."""
        mapping: dict[str, Handler] = self._service.__mapping__()
        return {path: handler._replace(func=self._wrap(path, handler.func)) for path, handler in mapping.items()}

    def _wrap(self, path: str, method: Method) -> Method:
        async def call(stream: Stream[Any, Any]) -> None:
            try:
                self._check(stream, path)
                await method(stream)
            except RemoteClaudeError as error:
                await _refuse(stream, error)
            except TimeoutError:
                raise
            except OSError as error:
                name = error.filename
                what = os.fsdecode(name) if isinstance(name, (str, bytes)) else path.rpartition("/")[2]
                await _refuse(stream, from_errno(error.errno or errno.EIO, what))

        return call


async def _refuse(stream: Stream[Any, Any], error: RemoteClaudeError) -> None:
    metadata: dict[str, str | bytes] = {CODE_KEY: str(error.code)}
    if error.hint:
        metadata[HINT_KEY] = error.hint.encode()
    await stream.send_trailing_metadata(
        status=Status[error.border.grpc], status_message=printable(error.message), metadata=metadata
    )


def printable(text: str) -> str:
    """Text that can be encoded: bytes of paths that are no UTF-8 become visible."""
    return text.encode("utf-8", "backslashreplace").decode()
