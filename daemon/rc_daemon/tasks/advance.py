"""What to do next for a task: a pure function of the task and one observation."""

from __future__ import annotations

from rc_daemon.coding.view import ConversationView, Phase
from rc_daemon.tasks import actions as act
from rc_daemon.tasks.actions import Action, Settle, Wait
from rc_daemon.tasks.endings import REACH_ATTEMPTS, SAVE_ATTEMPTS, closing, removing, stopping
from rc_daemon.tasks.moving import moving, retiring
from rc_daemon.tasks.observation import Observation, SandboxView
from rc_protos.model import Intent, LinkState, SandboxState, Task, TaskState
from rc_providers.base import Presence

# How a turn's end settles the task; what is not here is a failure.
SETTLED_BY = {
    "end_turn": TaskState.DONE,
    "cancelled": TaskState.STOPPED,
    "stopped": TaskState.STOPPED,
}
TURN_REASONS = {
    "cancelled": "the turn was cancelled",
    "stopped": "it was stopped",
    "max_tokens": "the coding agent reached its token limit",
    "max_turn_requests": "the coding agent reached its limit of requests in a turn",
    "refusal": "the coding agent refused to go on",
    "error": "the turn ended with an error",
    "timeout": "it ran out of time",
}


def advance(task: Task, seen: Observation) -> list[Action]:
    """The next actions, in order; carried out up to the first that fails, then one looks again."""
    if task.state is TaskState.REMOVED:
        return []
    if task.intent is Intent.REMOVE:
        return removing(task, seen)
    if seen.move is not None:
        return moving(seen)
    if task.intent is Intent.STOP:
        return stopping(task, seen)
    return retiring(task, seen) or (_resting(task, seen) if task.state.settled else _running(task, seen))


def _running(task: Task, seen: Observation) -> list[Action]:
    if seen.deadline and seen.now >= seen.deadline:
        return _out_of_time(task, seen)
    if seen.trouble.exhausted:
        return _give_up(seen)
    if task.state is TaskState.QUEUED and seen.ahead is not None and not seen.conversation.busy:
        return [Settle(TaskState.QUEUED, queue_reason(seen.ahead)), Wait()]
    if seen.trouble.not_before > seen.now:
        return [_trying_again(task, seen), Wait(seen.trouble.not_before)]
    if ended := _finished(seen.conversation):
        return _finish(seen, ended)
    if missing := _waits_for_credentials(task, seen):
        return missing
    return _sandbox(task, seen) or _workspace(seen) or _talk(seen)


def queue_reason(ahead: int) -> str:
    """What a queued task waits for."""
    return f"for a free slot ({ahead} ahead)" if ahead else "for a free slot (next)"


def _trying_again(task: Task, seen: Observation) -> Settle:
    state = TaskState.PROVISIONING if task.state is TaskState.QUEUED else task.state
    trouble = seen.trouble
    tries = f" ({trouble.attempts} of {trouble.limit})" if trouble.attempts else ""
    return Settle(state, f"{trouble.error}; trying again{tries}")


def _waits_for_credentials(task: Task, seen: Observation) -> list[Action]:
    """A coding agent that must be started needs one; asked before a sandbox is made for nothing."""
    due = seen.conversation.phase in (Phase.ABSENT, Phase.ENDED)
    if not due or not seen.credentials_missing:
        return []
    names = " or ".join(seen.credentials_missing)
    return [Settle(TaskState.WAITING, f"for credentials: set {names}, then run rc resume {task.name}"), Wait()]


def _sandbox(task: Task, seen: Observation) -> list[Action]:
    box = seen.sandbox
    if box is None or box.lost:
        again = "the sandbox is gone: making another from the last safe copy" if box else ""
        return [Settle(TaskState.PROVISIONING, again), act.IntendSandbox()]
    if box.state is SandboxState.INTENDED:
        return [Settle(TaskState.PROVISIONING, task.reason), act.CreateSandbox()]
    if seen.link is LinkState.UP and box.state is SandboxState.RUNNING:
        return []
    if box.presence is None:
        return [_entered(task, "the provider cannot be reached"), Wait()]
    if box.presence is Presence.GONE:
        return [act.LoseSandbox()]
    if box.presence is Presence.STOPPED or box.state is SandboxState.STOPPED:
        # It may run already, for a shell or from before a crash: that is recorded too.
        return [_entered(task, ""), act.StartSandbox()]
    return [_entered(task, "connecting to the sandbox"), act.EnsureLink()]


def _entered(task: Task, reason: str) -> Settle:
    """Out of the queue, but otherwise where it is: a cut link changes no state."""
    return Settle(TaskState.PROVISIONING if task.state is TaskState.QUEUED else task.state, reason)


def _workspace(seen: Observation) -> list[Action]:
    if seen.prepared:
        return []
    return [Settle(TaskState.PREPARING), act.Prepare()]


def _talk(seen: Observation) -> list[Action]:
    view = seen.conversation
    match view.phase:
        case Phase.ABSENT:
            return _start(seen)
        case Phase.ENDED:
            return _ended(seen)
        case Phase.FAILED if seen.continue_turn:
            return _start(seen)
        case Phase.FAILED:
            return _save_then(seen, Settle(TaskState.FAILED, view.error, _evidence(view)))
        case Phase.ASKING if seen.unheard:
            # The daemon died between the answer and its delivery.
            return [act.WakeConversation(), *_look(seen)]
        case Phase.ASKING:
            return [Settle(TaskState.WAITING, f"for you: {seen.question or 'a permission'}"), *_look(seen)]
        case Phase.NATIVE:
            return [Settle(TaskState.WAITING, "for you: the coding agent's own TUI is open"), *_look(seen)]
        case Phase.READY:
            return [Settle(TaskState.WORKING), act.WakeConversation(), *_look(seen)]
        case _:
            return [Settle(TaskState.WORKING, f"held: {seen.held}" if seen.held else ""), *_look(seen)]


def _start(seen: Observation) -> list[Action]:
    return [Settle(TaskState.WORKING), act.StartConversation(seen.continue_turn), *_look(seen)]


def _ended(seen: Observation) -> list[Action]:
    """The process ended by itself: it comes back if its machine was lost or the user wants it; else the task failed."""
    view = seen.conversation
    if seen.continue_turn or (view.exit is not None and view.exit.lost):
        return [Settle(TaskState.WORKING), act.StartConversation(continue_turn=True), *_look(seen)]
    during = f" during turn {view.turn}" if view.interrupted else ""
    reason = f"the coding agent ended{during} ({_how(view)})"
    return _save_then(seen, Settle(TaskState.FAILED, reason, _evidence(view)))


def _how(view: ConversationView) -> str:
    if view.exit is None:
        return "no exit status"
    return f"signal {view.exit.signal}" if view.exit.signal else f"exit code {view.exit.code}"


def _evidence(view: ConversationView) -> tuple[str, ...]:
    return tuple(line for line in (*view.evidence, view.hint) if line)


def _finished(view: ConversationView) -> str:
    """How the last turn ended, if nothing is left to do after it."""
    if view.queued or view.interrupted or view.turn == 0 or not view.stop_reason:
        return ""
    return view.stop_reason if view.phase in (Phase.READY, Phase.ABSENT, Phase.ENDED) else ""


def _finish(seen: Observation, stop_reason: str) -> list[Action]:
    view = seen.conversation
    state = SETTLED_BY.get(stop_reason, TaskState.FAILED)
    reason = TURN_REASONS.get(stop_reason, "" if state is TaskState.DONE else f"the turn ended: {stop_reason}")
    if stop_reason == "error" and view.error:
        reason = view.error
    evidence = _evidence(view) if state is TaskState.FAILED else ()
    return _save_then(seen, Settle(state, reason, evidence, stop_reason))


def _save_then(seen: Observation, settle: Settle) -> list[Action]:
    """A copy of the work before the task rests, if there is a way to it; after a restart the link comes first."""
    if not seen.prepared or seen.work.saved_turn >= seen.conversation.turn or seen.work.failures >= SAVE_ATTEMPTS:
        return [settle]
    if seen.link is LinkState.UP:
        return [act.SaveWork()]
    there = seen.sandbox is not None and not seen.sandbox.lost and seen.sandbox.presence is Presence.RUNNING
    return [act.EnsureLink()] if there and seen.trouble.attempts < REACH_ATTEMPTS else [settle]


def _look(seen: Observation) -> list[Action]:
    if seen.work.due and seen.link is LinkState.UP and seen.prepared:
        return [act.SaveWork(), Wait()]
    return [Wait()]


def _give_up(seen: Observation) -> list[Action]:
    trouble = seen.trouble
    tries = f" ({trouble.attempts} attempts)" if trouble.attempts > 1 else ""
    evidence = (*trouble.words, *((trouble.hint,) if trouble.hint else ()))
    return [Settle(TaskState.FAILED, f"{trouble.error or 'the sandbox failed'}{tries}", evidence)]


def _out_of_time(task: Task, seen: Observation) -> list[Action]:
    if close := closing(seen, "timeout"):
        return close
    reason = f"it ran out of time ({task.spec.timeout_seconds} s)"
    return _save_then(seen, Settle(TaskState.FAILED, reason, stop_reason="timeout"))


def _resting(task: Task, seen: Observation) -> list[Action]:
    """A settled task: its work is looked after, and what nobody uses is put to sleep."""
    box = seen.sandbox
    if box is None or box.lost:
        return []
    if box.state is SandboxState.INTENDED:
        # The task has moved while it rested.
        return [Wait()] if seen.trouble.exhausted else [act.CreateSandbox()]
    if box.presence is Presence.GONE:
        return [act.LoseSandbox()]
    if box.state is SandboxState.STOPPED and box.presence is not Presence.RUNNING:
        return []
    if box.presence is Presence.STOPPED:
        return [act.StopSandbox()]
    if seen.link is not LinkState.UP:
        return _reconnect(seen, box)
    if not seen.prepared and seen.retired:
        return [act.Prepare()]
    idle = seen.now - seen.idle_since if seen.idle_since else 0.0
    resting = seen.conversation.phase in (Phase.READY, Phase.FAILED)
    if resting and idle >= seen.idle_coding_agent:
        return [act.CloseConversation("idle"), Wait()]
    if seen.conversation.phase is not Phase.NATIVE and idle >= seen.idle_sandbox:
        return [act.StopSandbox()] if not _unsaved(seen) else [act.SaveWork(), Wait()]
    return _look(seen)


def _reconnect(seen: Observation, box: SandboxView) -> list[Action]:
    """After a restart of the daemon shells are reachable again; without hurry and without an end."""
    if box.presence is not Presence.RUNNING or seen.trouble.not_before > seen.now:
        return [Wait(seen.trouble.not_before)]
    return [act.EnsureLink()]


def _unsaved(seen: Observation) -> bool:
    return seen.work.unsaved and seen.work.failures < SAVE_ATTEMPTS
