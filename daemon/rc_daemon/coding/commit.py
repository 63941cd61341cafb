"""Puts what a conversation's machine produced into one transaction: events, requests, task row, state, bytes owed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rc_daemon.coding.acp import LOG_MOST
from rc_daemon.coding.clip import clip_text
from rc_daemon.coding.inputs import ANSWERS
from rc_daemon.coding.record import COLLECTION, Record
from rc_daemon.coding.state import Asked, Step, Withdrawn
from rc_daemon.store.tx import Tx
from rc_protos.model import Request, RequestState, Task, Usage

if TYPE_CHECKING:
    from rc_daemon.coding.inbound import Happening

_USAGE = tuple(Usage.__dataclass_fields__)


def store(tx: Tx, task_id: str, writer_id: str, record: Record, steps: Sequence[Step]) -> None:
    """Everything of these steps, or, with the transaction, nothing."""
    task = tx.get_task(task_id)
    changed = task
    for happening in _told(steps):
        if isinstance(happening, Asked):
            _open(tx, task_id, task, happening)
        elif isinstance(happening, Withdrawn):
            _withdraw(tx, task_id, happening)
        else:
            kind, payload = happening
            tx.append(kind, task_id, payload, actor="coding-agent")
            changed = _show(changed, kind, payload) if changed is not None else None
    out = b"".join(bytes(step.out) for step in steps)
    if out:
        tx.outbox_add(record.session_id, writer_id, out)
    tx.put_doc(COLLECTION, task_id, record.document())
    if changed is not None:
        pending = len(record.state.get("pending", {}))
        changed = replace(changed, session_id=record.session_id, pending_requests=pending)
        if changed != task:
            tx.put_task(replace(changed, updated_at=datetime.now(UTC)))


def _told(steps: Sequence[Step]) -> Iterator[Happening | Asked | Withdrawn]:
    """What happened, in order; lines that are no messages come in thousands, and are one event where they follow."""
    lines: list[str] = []
    for happening in (each for step in steps for each in step.events):
        if isinstance(happening, tuple) and happening[0] == "coding.log":
            lines.append(happening[1]["text"])
            continue
        if lines:
            yield _log(lines)
            lines = []
        yield happening
    if lines:
        yield _log(lines)


def _log(lines: Sequence[str]) -> Happening:
    return "coding.log", {"text": clip_text("\n".join(lines), LOG_MOST), "stream": "out"}


def _open(tx: Tx, task_id: str, task: Task | None, asked: Asked) -> None:
    tx.put_request(
        Request(
            id=asked.id,
            task_id=task_id,
            task_name=task.name if task else "",
            kind="permission",
            title=asked.title,
            detail=json.dumps(asked.detail),
            options=asked.options,
            created_at=datetime.now(UTC),
        )
    )
    options = [{"id": each.id, "name": each.name, "kind": each.kind} for each in asked.options]
    payload = {"id": asked.id, "kind": "permission", "title": asked.title, "detail": asked.detail, "options": options}
    tx.append("request.opened", task_id, payload, actor="coding-agent")


def _withdraw(tx: Tx, task_id: str, withdrawn: Withdrawn) -> None:
    # An answer that was recorded too late for its turn reaches nobody.
    tx.delete_doc(ANSWERS, withdrawn.id)
    request = tx.get_request(withdrawn.id)
    if request is None or request.state is not RequestState.PENDING:
        return
    tx.put_request(replace(request, state=RequestState.WITHDRAWN, answered_at=datetime.now(UTC)))
    tx.append("request.withdrawn", task_id, {"id": withdrawn.id, "reason": withdrawn.reason})


def _show(task: Task, kind: str, payload: dict[str, Any]) -> Task:
    """The task's row after an event: what it does now, and what it has cost."""
    if kind == "tool.call" and payload.get("title"):
        return replace(task, activity=str(payload["title"])[:200])
    if kind == "plan":
        busy = [each for each in payload["entries"] if each.get("status") == "in_progress"]
        return replace(task, activity=str(busy[0].get("content", ""))[:200]) if busy else task
    if kind == "usage":
        return replace(task, usage=replace(task.usage, **{key: payload[key] for key in _USAGE if key in payload}))
    if kind == "turn.ended":
        return replace(task, activity="")
    return task
