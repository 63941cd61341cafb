"""Each task's row as JSON, made once per change and joined as bytes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from google.protobuf import json_format

from rc_protos.convert import to_message
from rc_protos.model import Task, TaskSpec
from rc_protos.v1 import task_pb2 as pb

ListTasks = Callable[..., Awaitable[Sequence[Task]]]
# Of a brief row's prompt, which is shown where nothing better is known.
PROMPT_MOST = 60


@dataclass
class _Made:
    task: Task
    full: bytes = b""
    brief: bytes = b""


class TaskRows:
    """ListTasks, as fast as bytes can be joined."""

    def __init__(self, list_tasks: ListTasks) -> None:
        self._list_tasks = list_tasks
        self._made: dict[str, _Made] = {}

    async def answer(self, request: pb.ListTasksRequest) -> bytes:
        """A ListTasksResponse in JSON."""
        tasks = await self._list_tasks(list(request.filters), include_removed=request.include_removed)
        if len(self._made) > 2 * len(tasks) + 1024:
            self._made.clear()
        row = self._brief if request.brief else self._full
        return b'{"tasks":[' + b",".join([row(task) for task in tasks]) + b"]}"

    def _full(self, task: Task) -> bytes:
        made = self._of(task)
        made.full = made.full or _json(task)
        return made.full

    def _brief(self, task: Task) -> bytes:
        made = self._of(task)
        made.brief = made.brief or _json(brief(task), leave_out=("updatedAt", "usage", "intent"))
        return made.brief

    def _of(self, task: Task) -> _Made:
        made = self._made.get(task.id)
        # Tasks are immutable: the same object is the same row.
        if made is None or made.task is not task:
            made = self._made[task.id] = _Made(task)
        return made


def brief(task: Task) -> Task:
    """What a table of tasks shows."""
    spec = task.spec
    shown = TaskSpec(
        "" if task.activity else " ".join(spec.prompt[: 4 * PROMPT_MOST].split())[:PROMPT_MOST].rstrip(),
        name=spec.name,
        coding_agent=spec.coding_agent,
        provider=spec.provider,
        isolation=spec.isolation,
    )
    return Task(
        task.id,
        shown,
        task.state,
        # Whole seconds: shorter to send and to read.
        task.created_at.replace(microsecond=0),
        task.updated_at,
        reason=task.reason,
        owner="",
        workspace="",
        saved_at=task.saved_at and task.saved_at.replace(microsecond=0),
        activity=task.activity,
        pending_requests=task.pending_requests,
        credential_custody="",
    )


def _json(task: Task, leave_out: Sequence[str] = ()) -> bytes:
    row = json_format.MessageToDict(to_message(task, pb.Task))
    for name in leave_out:
        row.pop(name, None)
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
