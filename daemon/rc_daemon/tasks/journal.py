"""Small facts of a task beside its row: its base, how its work stands, which workspace is prepared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rc_daemon.coding import inputs, record
from rc_daemon.store.tx import Tx
from rc_daemon.tasks.base import Base
from rc_daemon.tasks.observation import Move, Work

BASE, WORK, PREPARED, DESTROY, REQUEST, PIN = "base", "work", "prepared", "destroy", "create-request", "pin"
MOVE, RETIRED = "move", "retired"


def base(tx: Tx, task_id: str) -> Base | None:
    """What the task starts from, once that is known."""
    found = tx.get_doc(BASE, task_id)
    return Base.from_document(found) if found else None


def put_base(tx: Tx, task_id: str, value: Base) -> None:
    """Record what the task starts from."""
    tx.put_doc(BASE, task_id, value.document())


def work(tx: Tx, task_id: str) -> dict[str, Any]:
    """How the work stands, as it is stored."""
    return tx.get_doc(WORK, task_id) or {}


def note_work(tx: Tx, task_id: str, **changes: Any) -> None:
    """Change some of it."""
    tx.put_doc(WORK, task_id, work(tx, task_id) | changes)


def as_work(found: Mapping[str, Any], *, due: bool) -> Work:
    """How the work stands, for `advance`."""
    return Work(
        unsaved=bool(found.get("unsaved")),
        due=due,
        saved_turn=int(found.get("saved_turn", 0)),
        failures=int(found.get("failures", 0)),
        kept=bool(found.get("kept")),
        discard=bool(found.get("discard")),
        error=str(found.get("error", "")),
    )


def move(tx: Tx, task_id: str) -> Move | None:
    """The move that was asked for, until the task has changed hands."""
    found = tx.get_doc(MOVE, task_id)
    return Move(str(found["provider"]), bool(found.get("quiet"))) if found else None


def retired(tx: Tx, task_id: str) -> tuple[str, ...]:
    """Sandboxes that the task has left and that are not destroyed yet."""
    return tuple((tx.get_doc(RETIRED, task_id) or {}).get("sandboxes", ()))


def put_retired(tx: Tx, task_id: str, sandboxes: tuple[str, ...]) -> None:
    """Record them; none: forget the document."""
    if sandboxes:
        tx.put_doc(RETIRED, task_id, {"sandboxes": list(sandboxes)})
    else:
        tx.delete_doc(RETIRED, task_id)


def forget(tx: Tx, task_id: str, sandbox_id: str) -> None:
    """Of a removed task nothing but its row, events and logs stays."""
    for collection in (BASE, WORK, MOVE, record.COLLECTION, inputs.QUEUE):
        tx.delete_doc(collection, task_id)
    tx.delete_doc(PREPARED, sandbox_id)
