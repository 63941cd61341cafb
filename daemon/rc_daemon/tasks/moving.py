"""How a live task changes its sandbox: pure, as part of `advance`.

At every step exactly one sandbox owns the task. Its work leaves the old one first; one transaction hands the task over
to a new one that is only intended; what follows is what follows the loss of a sandbox. The old one is retired: it is
destroyed when the new one has resumed, and not before.
"""

from __future__ import annotations

from rc_daemon.coding.view import Phase
from rc_daemon.tasks import actions as act
from rc_daemon.tasks.actions import Action, Wait
from rc_daemon.tasks.endings import SAVE_ATTEMPTS, closing
from rc_daemon.tasks.observation import Observation
from rc_protos.model import LinkState, SandboxState, Task
from rc_providers.base import Presence

_NOT_YET = (Phase.ABSENT, Phase.STARTING, Phase.ENDED, Phase.FAILED)


def moving(seen: Observation) -> list[Action]:
    """A move was asked for and the task still belongs to its old sandbox."""
    box = seen.sandbox
    if box is None or box.lost:
        return [act.SwitchSandbox()]
    if seen.trouble.exhausted:
        return [act.AbandonMove(seen.trouble.error)]
    if seen.trouble.not_before > seen.now:
        return [Wait(seen.trouble.not_before)]
    if box.state is SandboxState.INTENDED:
        return [act.FindSandbox()]
    if box.presence is Presence.GONE:
        return [act.LoseSandbox()]
    if not seen.prepared or (box.presence is Presence.STOPPED and not seen.work.unsaved):
        return [act.SwitchSandbox()]
    if box.presence is not Presence.RUNNING:
        return [act.StartSandbox()]
    if seen.link is not LinkState.UP:
        return [act.EnsureLink()]
    return closing(seen, "moved") or _leave(seen)


def _leave(seen: Observation) -> list[Action]:
    """Nothing may write any more when the last copy is taken."""
    assert seen.move is not None
    if not seen.move.quiet:
        return [act.QuietSandbox()]
    if not seen.work.unsaved:
        return [act.SwitchSandbox()]
    if seen.work.failures >= SAVE_ATTEMPTS:
        return [act.AbandonMove(f"its work cannot be saved: {seen.work.error}")]
    return [act.SaveWork()]


def retiring(task: Task, seen: Observation) -> list[Action]:
    """The sandboxes a task has left go, once it has resumed in its new one."""
    resumed = seen.prepared and (task.state.settled or seen.conversation.phase not in _NOT_YET)
    if not seen.retired or not resumed or seen.link is not LinkState.UP or seen.trouble.not_before > seen.now:
        return []
    return [act.RetireSandbox(seen.retired[0])]
