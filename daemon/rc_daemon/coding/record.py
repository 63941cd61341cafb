"""What is stored of a conversation: the protocol's state and which process speaks it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from rc_daemon.coding import state as stages
from rc_daemon.coding.view import ConversationView, Phase
from rc_protos.model import ExitStatus

COLLECTION = "conversation"
_STAGES = {
    stages.CLOSED: Phase.ABSENT,
    stages.HELLO: Phase.STARTING,
    stages.OPENING: Phase.STARTING,
    stages.LOADING: Phase.STARTING,
    stages.MODE: Phase.STARTING,
    stages.READY: Phase.READY,
    stages.FAILED: Phase.FAILED,
}


@dataclass(frozen=True)
class Record:
    """Everything but the protocol's own state; immutable, so that what was not committed is simply dropped."""

    sandbox_id: str = ""
    # The rc session of the process, recorded before it is opened.
    session_id: str = ""
    opened: bool = False
    coding_agent: str = ""
    native_session_id: str = ""
    starts: int = 0
    exit: ExitStatus | None = None
    evidence: tuple[str, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def offset(self) -> int:
        """Of the first byte of output that was not processed."""
        return int(self.state.get("offset", 0))

    def document(self) -> dict[str, Any]:
        """As it is stored."""
        return asdict(self)

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Record:
        """As it was stored; fields of a newer rc are left out."""
        known = {key: value for key, value in document.items() if key in cls.__dataclass_fields__}
        status = known.get("exit")
        known["exit"] = ExitStatus(**status) if status else None
        known["evidence"] = tuple(known.get("evidence", ()))
        return cls(**known)

    def with_state(self, state: stages.State) -> Record:
        """The same with the protocol's state as it is now."""
        return replace(self, state=state.dump())

    def view(self, task_id: str, queued: int) -> ConversationView:
        """What the rest of the daemon sees."""
        state = stages.State.load(self.state)
        return ConversationView(
            task_id=task_id,
            phase=self._phase(state),
            turn=state.turn,
            stop_reason="" if state.stage == stages.TURN else state.stop_reason,
            interrupted=state.interrupted,
            queued=queued,
            pending=tuple(state.pending),
            session_id=self.session_id,
            native_session_id=self.native_session_id,
            exit=self.exit,
            error=state.error,
            hint=_hint(state),
            evidence=self.evidence,
            starts=self.starts,
        )

    def _phase(self, state: stages.State) -> Phase:
        if self.native_session_id:
            return Phase.NATIVE
        if not self.session_id:
            return Phase.ENDED if self.exit is not None else Phase.ABSENT
        if not self.opened:
            return Phase.ABSENT
        if state.stage == stages.TURN:
            return Phase.ASKING if state.pending else Phase.WORKING
        return _STAGES[state.stage]


def _hint(state: stages.State) -> str:
    return "give it a credential, then: rc resume" if state.error_code == stages.AUTH_REQUIRED else ""
