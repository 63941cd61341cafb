"""What `advance` can ask for; each is idempotent when carried out."""

from __future__ import annotations

from dataclasses import dataclass

from rc_protos.model import TaskState


@dataclass(frozen=True)
class Action:
    """One thing to do for a task."""


@dataclass(frozen=True)
class Settle(Action):
    """Record the state, and why."""

    state: TaskState
    reason: str = ""
    evidence: tuple[str, ...] = ()
    stop_reason: str = ""


@dataclass(frozen=True)
class IntendSandbox(Action):
    """Choose a tag and record that a sandbox is wanted."""


@dataclass(frozen=True)
class CreateSandbox(Action):
    """Ask the provider for the sandbox with the recorded tag."""


@dataclass(frozen=True)
class FindSandbox(Action):
    """Learn whether an intended sandbox came to be, without making it."""


@dataclass(frozen=True)
class StartSandbox(Action):
    """Bring a stopped sandbox back."""


@dataclass(frozen=True)
class LoseSandbox(Action):
    """Record that the sandbox is gone; the coding agent in it is dead."""


@dataclass(frozen=True)
class EnsureLink(Action):
    """Connect to the sandbox, waiting a bounded time."""


@dataclass(frozen=True)
class Prepare(Action):
    """Put the repository, and work that was saved, into the workspace."""


@dataclass(frozen=True)
class StartConversation(Action):
    """Make the coding agent run, on its transcript where there is one."""

    continue_turn: bool = False


@dataclass(frozen=True)
class WakeConversation(Action):
    """Let the coding agent have its queued prompts and answers."""


@dataclass(frozen=True)
class CloseConversation(Action):
    """End the coding agent's process."""

    reason: str


@dataclass(frozen=True)
class SaveWork(Action):
    """Copy work and transcript to the host if they changed."""


@dataclass(frozen=True)
class KeepWork(Action):
    """Write unmerged work to a place that outlives the task."""


@dataclass(frozen=True)
class StopSandbox(Action):
    """End every process of the sandbox and keep its files."""


@dataclass(frozen=True)
class DestroySandbox(Action):
    """Record the destroy intent, then remove the sandbox."""


@dataclass(frozen=True)
class QuietSandbox(Action):
    """End every session in the sandbox that the task is about to leave."""


@dataclass(frozen=True)
class SwitchSandbox(Action):
    """Hand the task over to a new sandbox at another provider, and retire the one it has."""


@dataclass(frozen=True)
class AbandonMove(Action):
    """The task stays where it is."""

    reason: str


@dataclass(frozen=True)
class RetireSandbox(Action):
    """Record the destroy intent, then remove a sandbox that the task has left."""

    sandbox_id: str


@dataclass(frozen=True)
class Release(Action):
    """Let go of what a removed task holds on the host: pins, copies, credentials."""


@dataclass(frozen=True)
class Wait(Action):
    """Nothing to do before this time (by `clock.Clock`; 0: the next regular look)."""

    until: float = 0.0
