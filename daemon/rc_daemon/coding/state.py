"""What the ACP machine knows, and what one input leads to: plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rc_protos.model import RequestOption

if TYPE_CHECKING:
    from rc_daemon.coding.inbound import Happening

# Stages of a connection.
CLOSED = "closed"
HELLO = "hello"
OPENING = "opening"
LOADING = "loading"
MODE = "mode"
READY = "ready"
TURN = "turn"
FAILED = "failed"

# ACP's error code for a missing login.
AUTH_REQUIRED = -32000


@dataclass
class Pending:
    """A permission request that waits for the human; `rpc` is the coding agent's own id of it."""

    rpc: int | str
    options: list[dict[str, str]]


@dataclass
class State:
    """Everything the machine knows; plain JSON through `dump` and `load`."""

    stage: str = CLOSED
    # The first byte of the session's output that was not processed.
    offset: int = 0
    next_id: int = 1
    # Our calls that were not answered yet: id -> method.
    calls: dict[str, str] = field(default_factory=dict)
    # The coding agent's own id of the conversation: names its transcript.
    session: str = ""
    # The transcript was loaded by this process, not begun by it.
    loaded: bool = False
    workspace: str = ""
    wanted_mode: str = ""
    mode: str = ""
    turn: int = 0
    cancelled: bool = False
    stop_reason: str = ""
    # The last turn was cut by the end of the process.
    interrupted: bool = False
    # The coding agent has shown that it has the prompt of the last turn.
    heard: bool = False
    error: str = ""
    error_code: int = 0
    pending: dict[str, Pending] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)

    def dump(self) -> dict[str, Any]:
        """The state as a JSON object."""
        return asdict(self)

    @classmethod
    def load(cls, document: dict[str, Any]) -> State:
        """The state from its JSON object; fields a newer rc added are left out."""
        known = {key: value for key, value in document.items() if key in cls.__dataclass_fields__}
        known["pending"] = {key: Pending(**value) for key, value in known.get("pending", {}).items()}
        return cls(**known)


@dataclass(frozen=True)
class Asked:
    """A request to the human was opened."""

    id: str
    title: str
    detail: dict[str, Any]
    options: tuple[RequestOption, ...]


@dataclass(frozen=True)
class Withdrawn:
    """A request to the human needs no answer any more."""

    id: str
    reason: str


@dataclass
class Step:
    """What one input led to, in order; `events` holds (kind, payload), `Asked` and `Withdrawn`."""

    events: list[Happening | Asked | Withdrawn] = field(default_factory=list)
    out: bytearray = field(default_factory=bytearray)
