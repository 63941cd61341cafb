"""The fair queue."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from rc_daemon.tasks.admission import ahead, line
from rc_protos.model import Intent, Task, TaskSpec, TaskState

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def task(name: str, repository: str = "r", state: TaskState = TaskState.QUEUED, owner: str = "local") -> Task:
    """Ids sort as they were made."""
    return Task(name, TaskSpec("p", name=name, repository=repository), state, NOW, NOW, owner=owner)


def order(*tasks: Task) -> list[str]:
    """Who comes in which order."""
    return [each.id for each in line(tasks)]


def test_who_waits_longest_comes_first() -> None:
    assert order(task("c"), task("a"), task("b")) == ["a", "b", "c"]


def test_one_repository_does_not_hold_up_the_others() -> None:
    tasks = [task("a1", "a"), task("a2", "a"), task("a3", "a"), task("b1", "b"), task("c1", "c")]
    assert order(*tasks) == ["a1", "b1", "c1", "a2", "a3"]


def test_who_runs_already_counts() -> None:
    assert order(task("a0", "a", TaskState.WORKING), task("a1", "a"), task("b1", "b")) == ["b1", "a1"]


def test_a_task_that_waits_for_a_person_holds_no_slot() -> None:
    tasks = [task("a0", "a", TaskState.WAITING), task("a1", "a"), task("b1", "b")]
    assert order(*tasks) == ["a1", "b1"]
    assert ahead(tasks, "a1", 1) is None


def test_owners_are_groups_of_their_own() -> None:
    tasks = [task("a", owner="x"), task("b", owner="x"), task("c", owner="y")]
    assert order(*tasks) == ["a", "c", "b"]


def test_who_is_to_be_stopped_is_not_in_line() -> None:
    assert order(replace(task("a"), intent=Intent.STOP), task("b")) == ["b"]


def test_how_many_come_first() -> None:
    tasks = [task("r", "x", TaskState.WORKING), *(task(name) for name in "abcd")]
    assert [ahead(tasks, name, 3) for name in "abcd"] == [None, None, 0, 1]
    assert [ahead(tasks, name, 1) for name in "abcd"] == [0, 1, 2, 3]
    assert ahead(tasks, "r", 1) is None
    # A limit that was lowered below what runs.
    assert ahead(tasks, "a", 0) == 0
