"""What the rest of the daemon sees of a conversation with a coding agent."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rc_protos.model import ExitStatus


class Phase(StrEnum):
    """Where one task's coding agent is now."""

    # No process: never started, closed, or its session was recorded but not opened before a crash. `start` is due
    # when there is something to say.
    ABSENT = "absent"
    # The process is being started, initialised or is loading its transcript.
    STARTING = "starting"
    # It waits for a prompt; queued prompts are sent by themselves.
    READY = "ready"
    # A turn runs.
    WORKING = "working"
    # A turn runs and waits for the human.
    ASKING = "asking"
    # The process ended by itself; `exit` and `evidence` tell more, `start` brings it back on its transcript.
    ENDED = "ended"
    # It runs but refuses to work (a missing login, a refused mode): `error` says why; `start` tries again.
    FAILED = "failed"
    # Its own TUI holds the transcript; the ACP process is closed meanwhile.
    NATIVE = "native"


@dataclass(frozen=True)
class ConversationView:
    """One conversation, observed; everything in it is durable already."""

    task_id: str
    phase: Phase = Phase.ABSENT
    # The number of the running or last turn; 0 before the first.
    turn: int = 0
    # How the last turn ended: end_turn, max_tokens, refusal, cancelled, error, lost, stopped; empty while one runs.
    stop_reason: str = ""
    # The last turn was cut by the end of the process: `start(continue_turn=True)` goes on with it.
    interrupted: bool = False
    # Prompts that were accepted and not yet sent.
    queued: int = 0
    # Pending requests, by id.
    pending: tuple[str, ...] = ()
    # The rc session the coding agent runs in.
    session_id: str = ""
    native_session_id: str = ""
    exit: ExitStatus | None = None
    error: str = ""
    hint: str = ""
    # The last lines of its stderr, for the person who asks why.
    evidence: tuple[str, ...] = ()
    # How often the process was started.
    starts: int = 0

    @property
    def busy(self) -> bool:
        """A turn runs."""
        return self.phase in (Phase.WORKING, Phase.ASKING)
