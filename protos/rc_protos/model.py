"""The words of the project as frozen dataclasses; field names equal those of the messages in rc_protos/v1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class TaskState(StrEnum):
    """Where a task is in its life; `rc_daemon.tasks.advance` holds the legal moves."""

    QUEUED = "queued"
    PROVISIONING = "provisioning"
    PREPARING = "preparing"
    WORKING = "working"
    WAITING = "waiting"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    REMOVED = "removed"

    @property
    def settled(self) -> bool:
        """Nothing more happens to the task by itself."""
        return self in (TaskState.STOPPED, TaskState.DONE, TaskState.FAILED, TaskState.REMOVED)


class Intent(StrEnum):
    """What the user wants of a task."""

    RUN = "run"
    STOP = "stop"
    REMOVE = "remove"


class Mode(StrEnum):
    """How much a coding agent may do unasked: ask everything, edit files, decide itself, or only plan."""

    ASK = "ask"
    EDITS = "edits"
    AUTO = "auto"
    PLAN = "plan"


class RequestState(StrEnum):
    """Where a request to the human stands."""

    PENDING = "pending"
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"


class SandboxState(StrEnum):
    """What the registry knows of a sandbox; the intent is recorded before the provider is called."""

    INTENDED = "intended"
    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"
    DESTROYED = "destroyed"


class LinkState(StrEnum):
    """Whether the daemon's one connection into a sandbox stands."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


class Isolation(StrEnum):
    """What separates a local sandbox from the user's files."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


@dataclass(frozen=True)
class Principal:
    """Who calls: `local` until there is a login."""

    name: str = "local"
    workspace: str = "default"


LOCAL = Principal()


@dataclass(frozen=True)
class Option:
    """One setting of a provider or command, declared once: a CLI flag, a form field and a JSON schema."""

    name: str
    kind: str
    default: object
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens and money of a task; cost in `currency`, empty when the coding agent does not tell."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0
    currency: str = ""
    context_used: int = 0
    context_size: int = 0


@dataclass(frozen=True)
class TaskSpec:
    """What a task is made from; never holds a credential."""

    prompt: str
    name: str = ""
    coding_agent: str = "claude"
    provider: str = "local"
    repository: str = ""
    ref: str = ""
    include_uncommitted: bool = False
    isolation: str = ""
    mode: str = ""
    timeout_seconds: int = 0
    max_retries: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    model: str = ""


@dataclass(frozen=True)
class Task:
    """A unit of work as the registry shows it."""

    id: str
    spec: TaskSpec
    state: TaskState
    created_at: datetime
    updated_at: datetime
    reason: str = ""
    branch: str = ""
    base_commit: str = ""
    sandbox_id: str = ""
    owner: str = "local"
    workspace: str = "default"
    saved_at: datetime | None = None
    activity: str = ""
    session_id: str = ""
    pending_requests: int = 0
    usage: Usage = Usage()
    last_seq: int = 0
    link_state: str = ""
    evidence: tuple[str, ...] = ()
    saved_to: str = ""
    credential_custody: str = "none"
    ended_at: datetime | None = None
    stop_reason: str = ""
    intent: Intent = Intent.RUN
    retry_of: str = ""

    @property
    def name(self) -> str:
        """The name a person calls it by."""
        return self.spec.name


@dataclass(frozen=True)
class Event:
    """One entry of the append-only log; `payload` is a JSON object as text."""

    seq: int
    task_id: str
    kind: str
    time: datetime
    payload: str = "{}"
    version: int = 1
    owner: str = "local"
    actor: str = "local"
    workspace: str = "default"


@dataclass(frozen=True)
class RequestOption:
    """One answer a coding agent offers; chosen by kind, never by id."""

    id: str
    name: str
    kind: str


@dataclass(frozen=True)
class Request:
    """Something that waits for the human."""

    id: str
    task_id: str
    kind: str
    title: str
    created_at: datetime
    task_name: str = ""
    detail: str = "{}"
    options: tuple[RequestOption, ...] = ()
    state: RequestState = RequestState.PENDING
    answered_at: datetime | None = None
    answered_by: str = ""
    because: str = ""


@dataclass(frozen=True)
class TerminalSize:
    """Columns and rows of a terminal."""

    columns: int = 80
    rows: int = 24


@dataclass(frozen=True)
class ExitStatus:
    """How a session ended; `lost` says why there is no status."""

    code: int = 0
    signal: int = 0
    lost: str = ""


@dataclass(frozen=True)
class Session:
    """One process inside a sandbox with its offset-addressed log."""

    id: str
    name: str = ""
    kind: str = ""
    argv: tuple[bytes, ...] = ()
    directory: bytes = b""
    pty: bool = False
    size: TerminalSize = TerminalSize()
    pid: int = 0
    started_at: datetime | None = None
    ended: bool = False
    exit: ExitStatus | None = None
    ended_at: datetime | None = None
    out_first: int = 0
    out_end: int = 0
    err_first: int = 0
    err_end: int = 0
    blocked: str = ""
    size_cap: int = 0


@dataclass(frozen=True)
class Sandbox:
    """A sandbox as the registry knows it."""

    id: str
    provider: str
    external_id: str = ""
    task_id: str = ""
    state: SandboxState = SandboxState.INTENDED
    isolation: str = ""
    created_at: datetime | None = None
    epoch: int = 1


class Standing(StrEnum):
    """Who wants a sandbox."""

    TASK = "task"
    # Nobody's before, this installation's now.
    ADOPTED = "adopted"
    # Made here, wanted by no task.
    ORPHAN = "orphan"
    # Made by another installation.
    FOREIGN = "foreign"


@dataclass(frozen=True)
class SeenSandbox:
    """A sandbox as it is found, be it in the registry or not."""

    sandbox: Sandbox
    standing: Standing
    # What its provider says now: running, stopped or gone; empty: nothing.
    presence: str = ""
    task_name: str = ""
    # Whose tag it carries.
    installation: str = ""
    workspace: str = ""
    notices: tuple[str, ...] = ()
    # The last lines that the provider has of it.
    log: str = ""

    @property
    def state(self) -> str:
        """What its provider says, else what the registry knows."""
        return self.presence or self.sandbox.state


@dataclass(frozen=True)
class Ability:
    """One thing that a provider can or cannot do."""

    what: str
    how: str


@dataclass(frozen=True)
class Provider:
    """A provider that is installed; each of `options` is a JSON object: name, type, default, help, choices."""

    name: str
    summary: str = ""
    # As `--on` takes it: docker[:CONTEXT].
    reference: str = ""
    abilities: tuple[Ability, ...] = ()
    options: tuple[str, ...] = ()
    # Why it cannot be loaded.
    problem: str = ""


@dataclass(frozen=True)
class Stats:
    """What a sandbox's processes use."""

    time: datetime
    # Processors in use since the sample before: 1.5.
    cpu: float = 0.0
    memory_bytes: int = 0
    # 0: there is no limit.
    memory_limit_bytes: int = 0
    processes: int = 0
    # Of the disk that the workspace lies on.
    disk_free_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True)
class LinkStatus:
    """One link, for `rc daemon status`."""

    sandbox_id: str
    task_id: str
    state: LinkState
    since: datetime | None = None
    reconnects: int = 0
    last_error: str = ""


@dataclass(frozen=True)
class DaemonStatus:
    """What `rc daemon status` shows."""

    version: str
    protocol: int
    pid: int
    daemon_id: str
    started_at: datetime | None = None
    resident_bytes: int = 0
    links: tuple[LinkStatus, ...] = ()
    tasks: int = 0
    running: int = 0
    data_directory: str = ""
    log_file: str = ""
    disk_free_bytes: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """One line of `rc doctor`; result is ok, warning or error."""

    name: str
    result: str
    message: str
    remedy: str = ""


@dataclass(frozen=True)
class ConfigValue:
    """One configuration value (JSON text) and where it came from."""

    key: str
    value: str
    origin: str
    help: str = ""


@dataclass(frozen=True)
class CodingAgent:
    """A coding agent as found on the daemon's host."""

    name: str
    title: str = ""
    installed: bool = False
    version: str = ""
    pinned_version: str = ""
    executable: str = ""
    credential_names: tuple[str, ...] = ()
    remedy: str = ""
    source: str = ""


@dataclass(frozen=True)
class Port:
    """A TCP port on which a program in a sandbox listens."""

    port: int
    address: str = ""
    command: str = ""


class FileKind(StrEnum):
    """What a file is; the rest are devices, pipes and sockets."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True)
class FileInfo:
    """A file of a sandbox; `modified`: seconds since the epoch."""

    path: bytes
    kind: FileKind
    size: int = 0
    mode: int = 0
    modified: float = 0.0
    link_target: bytes = b""
