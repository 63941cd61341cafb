"""What is known of a task and its surroundings at one moment: all that `advance` decides on."""

from __future__ import annotations

from dataclasses import dataclass, field

from rc_daemon.coding.view import ConversationView
from rc_protos.model import LinkState, SandboxState
from rc_providers.base import Presence


@dataclass(frozen=True)
class SandboxView:
    """The sandbox as the registry and the provider see it."""

    id: str
    state: SandboxState
    # None: the provider cannot be asked now.
    presence: Presence | None = None

    @property
    def lost(self) -> bool:
        """The registry knows that it is no more."""
        return self.state in (SandboxState.GONE, SandboxState.DESTROYED)


@dataclass(frozen=True)
class Work:
    """How the work stands: what may be unsaved, and whether to look."""

    # Processes ran since the last complete copy.
    unsaved: bool = False
    # It is time to look for changes.
    due: bool = False
    # The last turn whose end was followed by a copy, or by two attempts at one.
    saved_turn: int = 0
    # Failed attempts at a copy in a row.
    failures: int = 0
    # Unmerged work was written to where it outlives the task.
    kept: bool = False
    # The user lets the work go.
    discard: bool = False
    error: str = ""


@dataclass(frozen=True)
class Trouble:
    """Failures of the infrastructure in a row."""

    attempts: int = 0
    limit: int = 5
    not_before: float = 0.0
    error: str = ""
    hint: str = ""
    # The last words of the sandbox, where it was the sandbox that failed.
    words: tuple[str, ...] = ()
    # No further attempt can help.
    permanent: bool = False

    @property
    def exhausted(self) -> bool:
        """Trying on is pointless."""
        return self.permanent or self.attempts >= self.limit


@dataclass(frozen=True)
class Move:
    """A move that was asked for."""

    # Where to: a provider's reference.
    provider: str
    # Nothing runs in the old sandbox any more.
    quiet: bool = False


@dataclass(frozen=True)
class Observation:
    """One look; times are seconds by `clock.Clock`."""

    now: float
    # Tasks that come first in the queue; None: a slot is free for this one.
    ahead: int | None = None
    sandbox: SandboxView | None = None
    link: LinkState | None = None
    # The workspace of this very sandbox holds the repository.
    prepared: bool = False
    conversation: ConversationView = field(default_factory=lambda: ConversationView(task_id=""))
    # The coding agent has not heard an answer that is recorded.
    unheard: bool = False
    # The title of the oldest pending request.
    question: str = ""
    # Why the coding agent's output cannot be stored in the sandbox now; it waits meanwhile.
    held: str = ""
    # Any of these would do; empty: none is needed, or one is there.
    credentials_missing: tuple[str, ...] = ()
    work: Work = Work()
    move: Move | None = None
    # Sandboxes that the task has left and that are not destroyed yet.
    retired: tuple[str, ...] = ()
    trouble: Trouble = Trouble()
    # When the task runs out of time; 0: never.
    deadline: float = 0.0
    # A turn that was cut is to be taken up again.
    continue_turn: bool = False
    # Nobody works in the sandbox since (no turn, no shell); 0: somebody does.
    idle_since: float = 0.0
    idle_coding_agent: float = 600.0
    idle_sandbox: float = 1800.0
