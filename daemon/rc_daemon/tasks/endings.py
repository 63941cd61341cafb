"""How a task is stopped and removed: pure, as part of `advance`."""

from __future__ import annotations

from rc_daemon.coding.view import Phase
from rc_daemon.tasks import actions as act
from rc_daemon.tasks.actions import Action, Settle, Wait
from rc_daemon.tasks.observation import Observation, SandboxView
from rc_protos.model import LinkState, SandboxState, Task, TaskState
from rc_providers.base import Presence

SAVE_ATTEMPTS = 2
# Of reaching a sandbox only to end it.
REACH_ATTEMPTS = 3


def stopping(task: Task, seen: Observation) -> list[Action]:
    """End the processes and keep everything; a task that is settled already keeps its state."""
    box = seen.sandbox
    rest: list[Action] = [] if task.state.settled else [Settle(TaskState.STOPPED, "by you")]
    if box is None or box.lost or (box.state is SandboxState.STOPPED and box.presence is not Presence.RUNNING):
        return rest
    if box.state is SandboxState.INTENDED:
        return [act.FindSandbox()]
    if box.presence is Presence.GONE:
        return [act.LoseSandbox()]
    if seen.trouble.not_before > seen.now:
        return [Wait(seen.trouble.not_before)]
    if box.presence is None:
        return [_still(task, "stopping: the provider cannot be reached"), Wait()]
    if box.presence is Presence.STOPPED:
        return [act.StopSandbox(), *rest]
    if seen.link is LinkState.UP:
        if close := closing(seen, "stopped"):
            return close
        if seen.prepared and seen.work.unsaved and seen.work.failures < SAVE_ATTEMPTS:
            return [act.SaveWork()]
    elif seen.work.unsaved and seen.trouble.attempts < REACH_ATTEMPTS:
        return [act.EnsureLink()]
    return [act.StopSandbox(), *rest]


def closing(seen: Observation, reason: str) -> list[Action]:
    """End the coding agent's process if there is one."""
    if seen.conversation.phase in (Phase.ABSENT, Phase.ENDED):
        return []
    return [act.CloseConversation(reason)]


def removing(task: Task, seen: Observation) -> list[Action]:
    """Save what is not merged, then destroy the sandbox and let go."""
    if seen.trouble.not_before > seen.now:
        return [_still(task, f"being removed: {seen.trouble.error}"), Wait(seen.trouble.not_before)]
    if seen.retired:
        # What it holds was saved before the task left it.
        return [act.RetireSandbox(seen.retired[0])]
    box = seen.sandbox
    if box is not None and not box.lost:
        return _empty(task, seen, box)
    return [*_keep(seen), act.Release(), Settle(TaskState.REMOVED)]


def _keep(seen: Observation) -> list[Action]:
    return [] if seen.work.discard or seen.work.kept else [act.KeepWork()]


def _empty(task: Task, seen: Observation, box: SandboxView) -> list[Action]:
    """The sandbox is there, or may be: first the work comes out, then it is destroyed."""
    if box.state is SandboxState.INTENDED:
        return [act.FindSandbox()]
    if box.presence is Presence.GONE:
        return [act.LoseSandbox()]
    if not seen.work.discard and seen.work.unsaved and seen.prepared:
        return _rescue(task, seen, box)
    if seen.link is LinkState.UP and (close := closing(seen, "removed")):
        return close
    return [*_keep(seen), act.DestroySandbox()]


def _rescue(task: Task, seen: Observation, box: SandboxView) -> list[Action]:
    if seen.trouble.exhausted or seen.work.failures > REACH_ATTEMPTS:
        why = seen.work.error or seen.trouble.error
        way = f"rc rm --discard {task.name} lets what is not saved go"
        return [_still(task, f"not removed, its work cannot be saved: {why}; {way}"), Wait()]
    if box.presence is None:
        return [_still(task, "being removed: the provider cannot be reached"), Wait()]
    if box.presence is Presence.STOPPED:
        return [act.StartSandbox()]
    if seen.link is not LinkState.UP:
        return [act.EnsureLink()]
    if close := closing(seen, "removed"):
        return close
    return [act.SaveWork()]


def _still(task: Task, reason: str) -> Settle:
    return Settle(task.state, reason)
