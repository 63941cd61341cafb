"""Every error a person can see: a closed set of codes and what each becomes on every border."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ErrorCode(StrEnum):
    """The closed set of reasons for which a call fails."""

    USAGE = "usage"
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"
    ALREADY_EXISTS = "already_exists"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    PERMISSION = "permission"
    UNAUTHENTICATED = "unauthenticated"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    TIMEOUT = "timeout"
    UNSUPPORTED = "unsupported"
    DATA_LOSS = "data_loss"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


@dataclass(frozen=True)
class Border:
    """What one code becomes outside: gRPC status name, Connect code, HTTP status, exit code."""

    grpc: str
    connect: str
    http: int
    exit: int
    meaning: str


BORDERS: dict[ErrorCode, Border] = {
    ErrorCode.USAGE: Border("INVALID_ARGUMENT", "invalid_argument", 400, 2, "the command or a value in it is wrong"),
    ErrorCode.NOT_FOUND: Border("NOT_FOUND", "not_found", 404, 3, "no such task, session, request or file"),
    ErrorCode.AMBIGUOUS: Border("INVALID_ARGUMENT", "invalid_argument", 400, 4, "a short id fits several things"),
    ErrorCode.ALREADY_EXISTS: Border("ALREADY_EXISTS", "already_exists", 409, 5, "the name is taken"),
    ErrorCode.CONFLICT: Border("ABORTED", "aborted", 409, 6, "the work does not apply; nothing was changed"),
    ErrorCode.PRECONDITION: Border(
        "FAILED_PRECONDITION", "failed_precondition", 400, 7, "not possible in the present state"
    ),
    ErrorCode.PERMISSION: Border("PERMISSION_DENIED", "permission_denied", 403, 8, "not allowed"),
    ErrorCode.UNAUTHENTICATED: Border("UNAUTHENTICATED", "unauthenticated", 401, 9, "a credential is missing or wrong"),
    ErrorCode.EXHAUSTED: Border("RESOURCE_EXHAUSTED", "resource_exhausted", 429, 10, "disk, quota or limit reached"),
    ErrorCode.UNAVAILABLE: Border("UNAVAILABLE", "unavailable", 503, 11, "the daemon or the sandbox is not reachable"),
    ErrorCode.TIMEOUT: Border("DEADLINE_EXCEEDED", "deadline_exceeded", 504, 12, "it took too long"),
    ErrorCode.UNSUPPORTED: Border("UNIMPLEMENTED", "unimplemented", 501, 13, "this provider or version cannot do it"),
    ErrorCode.DATA_LOSS: Border("DATA_LOSS", "data_loss", 500, 14, "stored data is damaged"),
    ErrorCode.CANCELLED: Border("CANCELLED", "canceled", 499, 130, "interrupted"),
    ErrorCode.INTERNAL: Border("INTERNAL", "internal", 500, 70, "a defect in rc; please report it"),
}

EXIT_OK = 0
EXIT_TASK_FAILED = 1

# Trailing metadata of a failed call: the code and, as UTF-8, the hint.
CODE_KEY = "rc-code"
HINT_KEY = "rc-hint-bin"


class RemoteClaudeError(Exception):
    """A failure with a closed code, one line of message and, where there is one, what to do next."""

    def __init__(self, message: str, hint: str = "", *, code: ErrorCode = ErrorCode.INTERNAL) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    @property
    def border(self) -> Border:
        """What this error becomes on the wire, in HTTP and as an exit code."""
        return BORDERS[self.code]

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.message, self.hint, self.code))


def _rebuild(message: str, hint: str, code: ErrorCode) -> RemoteClaudeError:
    return RemoteClaudeError(message, hint, code=code)


def usage(message: str, hint: str = "") -> RemoteClaudeError:
    """The command or a value in it is wrong."""
    return RemoteClaudeError(message, hint, code=ErrorCode.USAGE)


def not_found(message: str, hint: str = "") -> RemoteClaudeError:
    """The named thing does not exist."""
    return RemoteClaudeError(message, hint, code=ErrorCode.NOT_FOUND)


def precondition(message: str, hint: str = "") -> RemoteClaudeError:
    """The thing exists, but not in a state in which this is possible."""
    return RemoteClaudeError(message, hint, code=ErrorCode.PRECONDITION)


def unauthenticated(message: str, hint: str = "") -> RemoteClaudeError:
    """A credential is missing or wrong."""
    return RemoteClaudeError(message, hint, code=ErrorCode.UNAUTHENTICATED)


def conflict(message: str, hint: str = "") -> RemoteClaudeError:
    """Two changes do not go together; nothing was changed."""
    return RemoteClaudeError(message, hint, code=ErrorCode.CONFLICT)


def unavailable(message: str, hint: str = "") -> RemoteClaudeError:
    """The other side cannot be reached now."""
    return RemoteClaudeError(message, hint, code=ErrorCode.UNAVAILABLE)


def exhausted(message: str, hint: str = "") -> RemoteClaudeError:
    """Disk, quota or a limit is used up."""
    return RemoteClaudeError(message, hint, code=ErrorCode.EXHAUSTED)


def timeout(message: str, hint: str = "") -> RemoteClaudeError:
    """A deadline passed."""
    return RemoteClaudeError(message, hint, code=ErrorCode.TIMEOUT)


def unsupported(message: str, hint: str = "") -> RemoteClaudeError:
    """The provider, platform or version cannot do it."""
    return RemoteClaudeError(message, hint, code=ErrorCode.UNSUPPORTED)


def internal(message: str, hint: str = "") -> RemoteClaudeError:
    """A defect in rc."""
    return RemoteClaudeError(message, hint, code=ErrorCode.INTERNAL)


def from_wire(code: str, message: str, hint: str = "", *, grpc_status: str = "") -> RemoteClaudeError:
    """Build the error named by the other side; an unknown code falls back to the gRPC status."""
    for known in ErrorCode:
        if known.value == code:
            return RemoteClaudeError(message, hint, code=known)
    for known, border in BORDERS.items():
        if border.grpc == grpc_status:
            return RemoteClaudeError(message, hint, code=known)
    return RemoteClaudeError(message, hint, code=ErrorCode.INTERNAL)
