"""The decisions about a task, as a table; and what must hold for every one of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rc_daemon.coding.view import ConversationView, Phase
from rc_daemon.tasks import actions as act
from rc_daemon.tasks import moves
from rc_daemon.tasks.actions import Action, Settle, Wait
from rc_daemon.tasks.advance import advance
from rc_daemon.tasks.observation import Observation, SandboxView, Trouble, Work
from rc_protos.model import ExitStatus, Intent, LinkState, SandboxState, Task, TaskSpec, TaskState
from rc_providers.base import Presence

NOW = datetime(2026, 11, 26, tzinfo=UTC)
TASK = Task("t1", TaskSpec("prompt", name="fix"), TaskState.WORKING, NOW, NOW)
INTENDED = SandboxView("s1", SandboxState.INTENDED)
RUNS = SandboxView("s1", SandboxState.RUNNING, Presence.RUNNING)
DIED = SandboxView("s1", SandboxState.RUNNING, Presence.STOPPED)
VANISHED = SandboxView("s1", SandboxState.RUNNING, Presence.GONE)
UNKNOWN = SandboxView("s1", SandboxState.RUNNING)
SLEEPS = SandboxView("s1", SandboxState.STOPPED, Presence.STOPPED)
WOKEN = SandboxView("s1", SandboxState.STOPPED, Presence.RUNNING)
LOST = SandboxView("s1", SandboxState.GONE)
BOXES = [None, INTENDED, RUNS, DIED, VANISHED, UNKNOWN, SLEEPS, WOKEN, LOST]

UP = Observation(now=1000.0, sandbox=RUNS, link=LinkState.UP, prepared=True)
TROUBLE = Trouble(attempts=1, not_before=1010.0, error="no route")


def view(phase: Phase, **more: object) -> ConversationView:
    """A conversation in its first turn."""
    return ConversationView("t1", **({"phase": phase, "turn": 1} | more))  # type: ignore[arg-type]


def seen(**changes: object) -> Observation:
    """Everything is up, and something differs."""
    return replace(UP, **changes)  # type: ignore[arg-type]


def talking(phase: Phase, **more: object) -> Observation:
    """Everything is up, and the coding agent is here."""
    return seen(conversation=view(phase, **more))


S, W = Settle, Wait
ENDED = {"stop_reason": "end_turn"}

# state, intent -> what is seen -> what is done. Each line is one rule.
RULES: dict[str, tuple[TaskState, Intent, Observation, list[Action]]] = {
    "removed is the end": (TaskState.REMOVED, Intent.REMOVE, UP, []),
    # the queue
    "queued: no slot": (
        TaskState.QUEUED, Intent.RUN, Observation(1.0, ahead=2),
        [S(TaskState.QUEUED, "for a free slot (2 ahead)"), W()],
    ),
    "queued: next": (
        TaskState.QUEUED, Intent.RUN, Observation(1.0, ahead=0), [S(TaskState.QUEUED, "for a free slot (next)"), W()],
    ),
    "queued: a slot": (
        TaskState.QUEUED, Intent.RUN, Observation(1.0), [S(TaskState.PROVISIONING), act.IntendSandbox()],
    ),
    "queued: no credentials": (
        TaskState.QUEUED, Intent.RUN, Observation(1.0, credentials_missing=("A", "B")),
        [S(TaskState.WAITING, "for credentials: set A or B, then run rc resume fix"), W()],
    ),
    # the sandbox
    "provisioning: intended": (
        TaskState.PROVISIONING, Intent.RUN, Observation(1.0, sandbox=INTENDED),
        [S(TaskState.PROVISIONING), act.CreateSandbox()],
    ),
    "provisioning: no link": (
        TaskState.PROVISIONING, Intent.RUN, Observation(1.0, sandbox=RUNS, link=LinkState.CONNECTING),
        [S(TaskState.PROVISIONING, "connecting to the sandbox"), act.EnsureLink()],
    ),
    "working: its machine died": (
        TaskState.WORKING, Intent.RUN, seen(sandbox=DIED, link=LinkState.DOWN),
        [S(TaskState.WORKING), act.StartSandbox()],
    ),
    "working: its machine was woken by somebody else": (
        TaskState.QUEUED, Intent.RUN, seen(sandbox=WOKEN), [S(TaskState.PROVISIONING), act.StartSandbox()],
    ),
    "working: its machine vanished": (
        TaskState.WORKING, Intent.RUN, seen(sandbox=VANISHED, link=LinkState.DOWN), [act.LoseSandbox()],
    ),
    "working: its machine is lost": (
        TaskState.WORKING, Intent.RUN, seen(sandbox=LOST, link=None),
        [
            S(TaskState.PROVISIONING, "the sandbox is gone: making another from the last safe copy"),
            act.IntendSandbox(),
        ],
    ),
    "working: the provider is silent": (
        TaskState.WORKING, Intent.RUN, seen(sandbox=UNKNOWN, link=LinkState.DOWN),
        [S(TaskState.WORKING, "the provider cannot be reached"), W()],
    ),
    "working: the link is up whatever the provider says": (
        TaskState.WORKING, Intent.RUN, seen(sandbox=UNKNOWN, conversation=view(Phase.WORKING)),
        [S(TaskState.WORKING), W()],
    ),
    "provisioning: ready": (
        TaskState.PROVISIONING, Intent.RUN, seen(prepared=False), [S(TaskState.PREPARING), act.Prepare()],
    ),
    # failures
    "tried again later": (
        TaskState.QUEUED, Intent.RUN, seen(trouble=TROUBLE),
        [S(TaskState.PROVISIONING, "no route; trying again (1 of 5)"), W(1010.0)],
    ),
    "held, not counted": (
        TaskState.WORKING, Intent.RUN, seen(trouble=replace(TROUBLE, attempts=0, error="disk full")),
        [S(TaskState.WORKING, "disk full; trying again"), W(1010.0)],
    ),
    "too often": (
        TaskState.PROVISIONING, Intent.RUN, seen(trouble=replace(TROUBLE, attempts=5, hint="see: rc doctor")),
        [S(TaskState.FAILED, "no route (5 attempts)", ("see: rc doctor",))],
    ),
    "hopeless": (
        TaskState.PREPARING, Intent.RUN, seen(trouble=Trouble(attempts=1, error="no git", permanent=True)),
        [S(TaskState.FAILED, "no git")],
    ),
    # the coding agent
    "absent": (
        TaskState.PREPARING, Intent.RUN, UP, [S(TaskState.WORKING), act.StartConversation(), W()],
    ),
    "starting": (TaskState.WORKING, Intent.RUN, talking(Phase.STARTING), [S(TaskState.WORKING), W()]),
    "something to say": (
        TaskState.WORKING, Intent.RUN, talking(Phase.READY, queued=1),
        [S(TaskState.WORKING), act.WakeConversation(), W()],
    ),
    "it asks": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.ASKING), question="rm -rf?"),
        [S(TaskState.WAITING, "for you: rm -rf?"), W()],
    ),
    "it was answered and not told": (
        TaskState.WAITING, Intent.RUN, replace(talking(Phase.ASKING), unheard=True), [act.WakeConversation(), W()],
    ),
    "its TUI is open": (
        TaskState.WORKING, Intent.RUN, talking(Phase.NATIVE),
        [S(TaskState.WAITING, "for you: the coding agent's own TUI is open"), W()],
    ),
    "time for a copy": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.WORKING), work=Work(due=True)),
        [S(TaskState.WORKING), act.SaveWork(), W()],
    ),
    "it died": (
        TaskState.WORKING, Intent.RUN,
        replace(
            talking(Phase.ENDED, interrupted=True, exit=ExitStatus(signal=9), evidence=("oops",)),
            work=Work(saved_turn=1),
        ),
        [S(TaskState.FAILED, "the coding agent ended during turn 1 (signal 9)", ("oops",))],
    ),
    "it died with its machine": (
        TaskState.WORKING, Intent.RUN, talking(Phase.ENDED, interrupted=True, exit=ExitStatus(lost="gone")),
        [S(TaskState.WORKING), act.StartConversation(continue_turn=True), W()],
    ),
    "it refuses": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.FAILED, error="no login"), work=Work(saved_turn=1)),
        [S(TaskState.FAILED, "no login")],
    ),
    # the end of a turn
    "done, not saved": (TaskState.WORKING, Intent.RUN, talking(Phase.READY, **ENDED), [act.SaveWork()]),
    "done after a restart": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.READY, **ENDED), link=None), [act.EnsureLink()],
    ),
    "done, out of reach": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.READY, **ENDED), link=None, sandbox=UNKNOWN),
        [S(TaskState.DONE, stop_reason="end_turn")],
    ),
    "done, its copy fails": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.READY, **ENDED), work=Work(failures=2)),
        [S(TaskState.DONE, stop_reason="end_turn")],
    ),
    "done and saved": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.READY, **ENDED), work=Work(saved_turn=1)),
        [S(TaskState.DONE, stop_reason="end_turn")],
    ),
    "cancelled": (
        TaskState.WAITING, Intent.RUN, replace(talking(Phase.READY, stop_reason="cancelled"), work=Work(saved_turn=1)),
        [S(TaskState.STOPPED, "the turn was cancelled", stop_reason="cancelled")],
    ),
    "an unknown end": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.READY, stop_reason="tired"), work=Work(saved_turn=1)),
        [S(TaskState.FAILED, "the turn ended: tired", stop_reason="tired")],
    ),
    "out of time": (
        TaskState.WORKING, Intent.RUN, replace(talking(Phase.WORKING), deadline=1000.0),
        [act.CloseConversation("timeout")],
    ),
    # at rest
    "rests": (TaskState.DONE, Intent.RUN, replace(talking(Phase.READY), idle_since=999.0), [W()]),
    "idle coding agent": (
        TaskState.DONE, Intent.RUN, replace(talking(Phase.READY), idle_since=400.0),
        [act.CloseConversation("idle"), W()],
    ),
    "idle sandbox": (
        TaskState.DONE, Intent.RUN, replace(talking(Phase.ABSENT), idle_since=1.0, idle_sandbox=900.0),
        [act.StopSandbox()],
    ),
    "idle sandbox, unsaved": (
        TaskState.DONE, Intent.RUN,
        replace(talking(Phase.ABSENT), idle_since=1.0, idle_sandbox=900.0, work=Work(unsaved=True)),
        [act.SaveWork(), W()],
    ),
    "somebody's shell": (TaskState.DONE, Intent.RUN, replace(talking(Phase.ABSENT), idle_since=0.0), [W()]),
    "asleep": (TaskState.DONE, Intent.RUN, Observation(1.0, sandbox=SLEEPS), []),
    "woken, out of reach": (
        TaskState.DONE, Intent.RUN, Observation(1.0, sandbox=WOKEN), [act.EnsureLink()],
    ),
    "its machine died at rest": (TaskState.DONE, Intent.RUN, seen(sandbox=DIED, link=None), [act.StopSandbox()]),
    "its machine vanished at rest": (
        TaskState.STOPPED, Intent.RUN, seen(sandbox=replace(SLEEPS, presence=Presence.GONE)), [act.LoseSandbox()],
    ),
    # stop
    "stop: nothing there": (
        TaskState.QUEUED, Intent.STOP, Observation(1.0, ahead=3), [S(TaskState.STOPPED, "by you")],
    ),
    "stop: perhaps made": (
        TaskState.PROVISIONING, Intent.STOP, Observation(1.0, sandbox=INTENDED), [act.FindSandbox()],
    ),
    "stop: first the coding agent": (
        TaskState.WORKING, Intent.STOP, talking(Phase.WORKING), [act.CloseConversation("stopped")],
    ),
    "stop: then a copy": (
        TaskState.WORKING, Intent.STOP, replace(talking(Phase.ABSENT), work=Work(unsaved=True)), [act.SaveWork()],
    ),
    "stop: then the sandbox": (
        TaskState.WORKING, Intent.STOP, talking(Phase.ABSENT),
        [act.StopSandbox(), S(TaskState.STOPPED, "by you")],
    ),
    "stop: a done task stays done": (TaskState.DONE, Intent.STOP, talking(Phase.ABSENT), [act.StopSandbox()]),
    # remove
    "remove: first a copy": (
        TaskState.DONE, Intent.REMOVE, replace(talking(Phase.ABSENT), work=Work(unsaved=True)), [act.SaveWork()],
    ),
    "remove: asleep and unsaved": (
        TaskState.STOPPED, Intent.REMOVE, seen(sandbox=SLEEPS, link=None, work=Work(unsaved=True)),
        [act.StartSandbox()],
    ),
    "remove: cannot be saved": (
        TaskState.DONE, Intent.REMOVE, replace(talking(Phase.ABSENT), work=Work(unsaved=True, failures=4, error="x")),
        [
            S(
                TaskState.DONE,
                "not removed, its work cannot be saved: x; rc rm --discard fix lets what is not saved go",
            ),
            W(),
        ],
    ),
    "remove: kept, then destroyed": (
        TaskState.DONE, Intent.REMOVE, talking(Phase.ABSENT), [act.KeepWork(), act.DestroySandbox()],
    ),
    "remove: let go": (
        TaskState.DONE, Intent.REMOVE, replace(talking(Phase.ABSENT), work=Work(unsaved=True, discard=True)),
        [act.DestroySandbox()],
    ),
    "remove: at last": (
        TaskState.DONE, Intent.REMOVE, seen(sandbox=LOST, work=Work(kept=True)),
        [act.Release(), S(TaskState.REMOVED)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    state, intent, observation, wanted = RULES[rule]
    assert advance(replace(TASK, state=state, intent=intent), observation) == wanted


def everything() -> Iterator[tuple[Task, Observation]]:
    """Every state and intent against every class of what can be seen."""
    troubles = [Trouble(), TROUBLE, replace(TROUBLE, attempts=5, not_before=0.0)]
    works = [Work(), Work(unsaved=True, due=True), Work(unsaved=True, failures=9), Work(discard=True, kept=True)]
    views = [view(phase, **more) for phase in Phase for more in ({}, ENDED, {"interrupted": True, "queued": 1})]
    boxes = [(box, link) for box in BOXES for link in (None, LinkState.CONNECTING, LinkState.UP, LinkState.DOWN)]
    tasks = [replace(TASK, state=state, intent=intent) for state in TaskState for intent in Intent]
    for task, (box, link), prepared, conversation in itertools.product(tasks, boxes, (False, True), views):
        for trouble, work in zip(troubles * 2, [*works, *works[:2]], strict=True):
            yield (
                task,
                Observation(
                    1000.0, None, box, link, prepared, conversation, work=work, trouble=trouble, idle_since=1.0
                ),
            )


def test_what_holds_for_every_decision() -> None:
    count = 0
    for task, observation in everything():
        count += 1
        actions = advance(task, observation)
        assert list(problems(task, observation, actions)) == [], (task.state, observation, actions)
    assert count > 50_000


def problems(task: Task, seen: Observation, actions: list[Action]) -> Iterator[str]:
    """Whatever no decision may do."""
    kinds = {type(action) for action in actions}
    for action in actions:
        if isinstance(action, Settle) and not moves.legal(task.state, action.state):
            yield f"an illegal move to {action.state}"
    if any(isinstance(action, Wait) for action in actions[:-1]):
        yield "something after a wait"
    if not actions and not task.state.settled:
        yield "a task that is not settled is left alone"
    if kinds & {act.DestroySandbox, act.Release} and task.intent is not Intent.REMOVE:
        yield "destroyed without being asked"
    if act.StopSandbox in kinds and task.intent is Intent.RUN and not task.state.settled:
        yield "a running task's sandbox is stopped"
    if act.DestroySandbox in kinds and seen.prepared and seen.work.unsaved and not seen.work.discard:
        yield "unsaved work is destroyed"
    if act.Release in kinds and seen.sandbox is not None and not seen.sandbox.lost:
        yield "a task is let go while its sandbox is there"
    if act.CreateSandbox in kinds and (seen.sandbox is None or seen.sandbox.state is not SandboxState.INTENDED):
        yield "a sandbox is made that was not intended"
    if act.IntendSandbox in kinds and seen.sandbox is not None and not seen.sandbox.lost:
        yield "a second sandbox"
    through_the_link = kinds & {act.Prepare, act.StartConversation, act.WakeConversation, act.SaveWork}
    if through_the_link and seen.link is not LinkState.UP:
        yield f"{through_the_link} without a link"
    if kinds & {act.StartConversation, act.SaveWork} and not seen.prepared:
        yield "work in a workspace that is not prepared"


def test_a_task_without_a_slot_does_nothing() -> None:
    for task, observation in everything():
        if task.state is TaskState.QUEUED and task.intent is Intent.RUN and not observation.trouble.exhausted:
            actions = advance(task, replace(observation, ahead=1))
            busy = observation.conversation.busy
            assert busy or actions == [Settle(TaskState.QUEUED, "for a free slot (1 ahead)"), Wait()]
