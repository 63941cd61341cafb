"""Who runs next: a fair queue over repositories and owners, pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rc_daemon.tasks.moves import RUNNING
from rc_protos.model import Intent, Task, TaskState


def line(tasks: Iterable[Task]) -> list[Task]:
    """The queued tasks in the order in which they get slots.

    Whose group (owner and repository) has the fewest running tasks comes first; within a group, and between equals, who
    has waited longest.
    """
    everyone = list(tasks)
    load = Counter(_group(task) for task in everyone if task.state in RUNNING)
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in sorted(everyone, key=lambda task: task.id):
        if task.state is TaskState.QUEUED and task.intent is Intent.RUN:
            groups.setdefault(_group(task), []).append(task)
    order: list[Task] = []
    while groups:
        key = min(groups, key=lambda key: (load[key], groups[key][0].id))
        order.append(groups[key].pop(0))
        load[key] += 1
        if not groups[key]:
            del groups[key]
    return order


def ahead(tasks: Sequence[Task], task_id: str, limit: int) -> int | None:
    """How many come before a queued task; None: a slot is free for it now."""
    free = limit - sum(task.state in RUNNING for task in tasks)
    place = next((place for place, task in enumerate(line(tasks)) if task.id == task_id), None)
    if place is None or place < free:
        return None
    return place - max(free, 0)


def _group(task: Task) -> tuple[str, str]:
    return task.owner, task.spec.repository
