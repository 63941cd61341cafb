"""What can be done inside one transaction: typed accessors over the tables; rows and models meet only here."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from rc_daemon.store import schema, statements
from rc_daemon.store.codec import decode, encode, microseconds, moment
from rc_daemon.store.connection import Connection, Row
from rc_daemon.store.rows import OutboxRow, Placement, SessionRow
from rc_protos.model import Event, Request, Sandbox, Task

M = TypeVar("M")


class Tx:
    """One transaction; valid only inside the function that was handed it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.appended: list[Event] = []
        # The tasks written here as they stand now; None: deleted.
        self.tasks: dict[str, Task | None] = {}

    # events

    def append(
        self, kind: str, task_id: str = "", payload: Mapping[str, Any] | None = None, *, actor: str = "local"
    ) -> int:
        """Add an event to the log; its sequence number."""
        now = datetime.now(UTC)
        text = encode(payload or {})
        row = {
            "task_id": task_id,
            "kind": kind,
            "version": 1,
            "time": microseconds(now),
            "actor": actor,
            "payload": text,
            **_OWNED,
        }
        seq = int(self._connection.rows(statements.insert_event, row)[0][0])
        self.appended.append(Event(seq, task_id, kind, now, text, actor=actor))
        return seq

    def events(
        self,
        *,
        after: int = 0,
        task_id: str = "",
        kinds: Collection[str] = (),
        since: datetime | None = None,
        limit: int = 1000,
        newest: bool = False,
    ) -> list[Event]:
        """At most `limit` events after a sequence number, oldest first; `newest` takes the last ones instead."""
        table = schema.event
        query = sa.select(table).where(table.c.seq > after)
        if task_id:
            query = query.where(table.c.task_id == task_id)
        if kinds:
            query = query.where(table.c.kind.in_(list(kinds)))
        if since is not None:
            query = query.where(table.c.time >= microseconds(since))
        query = query.order_by(table.c.seq.desc() if newest else table.c.seq).limit(limit)
        found = [_event(row) for row in self._connection.query(query)]
        return found[::-1] if newest else found

    def last_seq(self) -> int:
        """Of the whole log; 0 when it is empty."""
        return self._connection.rows(statements.last_seq, {})[0][0] or 0

    def drop_events(self, task_id: str) -> int:
        """Let retention take a removed task's events; how many."""
        table = schema.event
        return self._connection.change(sa.delete(table).where(table.c.task_id == task_id))

    # tasks

    def put_task(self, task: Task) -> None:
        """Insert or replace a task; its `last_seq` follows the log by itself."""
        newest = max([task.last_seq, *(each.seq for each in self.appended if each.task_id == task.id)])
        if newest != task.last_seq:
            task = replace(task, last_seq=newest)
        row = {
            "id": task.id,
            "name": task.spec.name,
            "state": task.state.value,
            "last_seq": newest,
            "doc": encode(task),
            "owner": task.owner,
            "workspace": task.workspace,
        }
        self._put(schema.task, row)
        self.tasks[task.id] = task

    def get_task(self, task_id: str) -> Task | None:
        """The task with exactly this id."""
        rows = self._connection.rows(statements.task_by_id, {"key": task_id})
        return _task(rows[0]) if rows else None

    def list_tasks(self, include_removed: bool = False) -> list[Task]:
        """Oldest first."""
        statement = statements.all_tasks if include_removed else statements.living_tasks
        return [_task(row) for row in self._connection.rows(statement, {})]

    def find_tasks(self, prefix_or_name: str) -> list[Task]:
        """The task with this name (not removed), else those whose id begins with it."""
        if not prefix_or_name:
            return []
        named = self._connection.rows(statements.tasks_by_name, {"key": prefix_or_name})
        low = prefix_or_name.lower()
        limits = {"low": low, "high": low + "\uffff"}
        return [_task(row) for row in named or self._connection.rows(statements.tasks_by_prefix, limits)]

    def delete_task(self, task_id: str) -> None:
        """Forget a removed task and everything that hangs on it but its events."""
        sessions = sa.select(schema.session.c.id).where(schema.session.c.task_id == task_id)
        for table in (schema.outbox, schema.writer):
            self._connection.change(sa.delete(table).where(table.c.session_id.in_(sessions)))
        for table, column in (
            (schema.task, schema.task.c.id),
            (schema.session, schema.session.c.task_id),
            (schema.request, schema.request.c.task_id),
            (schema.sandbox, schema.sandbox.c.task_id),
            (schema.placement, schema.placement.c.task_id),
        ):
            self._connection.change(sa.delete(table).where(column == task_id))
        self.tasks[task_id] = None

    # sandboxes, sessions, requests, placements

    def put_sandbox(self, sandbox: Sandbox) -> None:
        """Insert or replace."""
        row = {"id": sandbox.id, "task_id": sandbox.task_id, "state": sandbox.state.value, "doc": encode(sandbox)}
        self._put(schema.sandbox, row | _OWNED)

    def get_sandbox(self, sandbox_id: str) -> Sandbox | None:
        """The sandbox with this id."""
        return self._get(schema.sandbox, sandbox_id, Sandbox)

    def list_sandboxes(self, task_id: str = "") -> list[Sandbox]:
        """Oldest first; of one task or of all."""
        return self._list(schema.sandbox, Sandbox, task_id)

    def put_session_row(self, session: SessionRow) -> None:
        """Insert or replace."""
        row = {
            "id": session.id,
            "task_id": session.task_id,
            "sandbox_id": session.sandbox_id,
            "ended": session.ended,
            "doc": encode(session),
        }
        self._put(schema.session, row | _OWNED)

    def get_session_row(self, session_id: str) -> SessionRow | None:
        """The session with this id."""
        return self._get(schema.session, session_id, SessionRow)

    def list_session_rows(self, task_id: str = "") -> list[SessionRow]:
        """Oldest first; of one task or of all."""
        return self._list(schema.session, SessionRow, task_id)

    def put_request(self, request: Request) -> None:
        """Insert or replace."""
        row = {"id": request.id, "task_id": request.task_id, "state": request.state.value, "doc": encode(request)}
        self._put(schema.request, row | _OWNED)

    def get_request(self, request_id: str) -> Request | None:
        """The request with exactly this id."""
        return self._get(schema.request, request_id, Request)

    def list_requests(self, task_id: str = "", pending_only: bool = True) -> list[Request]:
        """Oldest first; of one task or of all."""
        if not pending_only:
            return self._list(schema.request, Request, task_id)
        if task_id:
            rows = self._connection.rows(statements.pending_requests_of, {"key": task_id})
        else:
            rows = self._connection.rows(statements.pending_requests, {})
        return [decode(row[0], Request) for row in rows]

    def put_placement(self, placement: Placement) -> None:
        """Record which sandbox owns a task from an epoch on."""
        row = {"task_id": placement.task_id, "epoch": placement.epoch, "sandbox_id": placement.sandbox_id}
        self._put(schema.placement, row, ("task_id", "epoch"))

    def placements(self, task_id: str) -> list[Placement]:
        """Oldest epoch first; the last one holds."""
        return [Placement(*row) for row in self._connection.rows(statements.placements_of, {"key": task_id})]

    # outbox

    def outbox_add(self, session_id: str, writer_id: str, data: bytes) -> int:
        """Owe a session these bytes, numbered on from the writer's last; the first one's number."""
        rows = self._connection.rows(statements.next_byte, {"session": session_id, "writer": writer_id})
        start = int(rows[0][0]) if rows else 0
        if not data:
            return start
        row = {"session_id": session_id, "writer_id": writer_id}
        self._put(schema.writer, row | {"next_byte": start + len(data)}, ("session_id", "writer_id"))
        self._connection.run(statements.insert_outbox, row | {"from_byte": start, "data": data})
        return start

    def outbox_pending(self, session_id: str) -> list[OutboxRow]:
        """What is owed and not acknowledged, in the order of its numbers."""
        rows = self._connection.rows(statements.outbox_of, {"key": session_id})
        return [OutboxRow(session, writer, from_byte, bytes(data)) for session, writer, from_byte, data in rows]

    def outbox_ack(self, session_id: str, writer_id: str, watermark: int) -> None:
        """Every byte before the watermark has reached the process."""
        values = {"session": session_id, "writer": writer_id, "watermark": watermark}
        self._connection.run(statements.delete_outbox, values)

    # documents

    def get_doc(self, collection: str, key: str) -> dict[str, Any] | None:
        """A small JSON document."""
        rows = self._connection.rows(statements.doc_by_key, {"collection": collection, "key": key})
        return json.loads(rows[0][0]) if rows else None

    def put_doc(self, collection: str, key: str, document: Mapping[str, Any]) -> None:
        """Insert or replace a small JSON document."""
        row = {"collection": collection, "key": key, "doc": encode(document)}
        self._put(schema.doc, row, ("collection", "key"))

    def delete_doc(self, collection: str, key: str) -> None:
        """Forget a document; it need not be there."""
        self._connection.run(statements.delete_doc, {"collection": collection, "key": key})

    def list_docs(self, collection: str) -> dict[str, dict[str, Any]]:
        """Every document of a collection, by key."""
        rows = self._connection.rows(statements.docs_of, {"collection": collection})
        return {key: json.loads(text) for key, text in rows}

    # the store's own

    def finish(self) -> None:
        """Bring each task's `last_seq` up to the events appended here."""
        newest = {each.task_id: each.seq for each in self.appended if each.task_id}
        for task_id, seq in newest.items():
            written = self.tasks.get(task_id)
            if written is not None and written.last_seq >= seq:
                continue
            self._connection.run(statements.follow_log, {"key": task_id, "seq": seq})
            moved = self.get_task(task_id)
            if moved is not None:
                self.tasks[task_id] = moved

    def _put(self, table: sa.Table, row: Mapping[str, Any], keys: tuple[str, ...] = ("id",)) -> None:
        self._connection.run(statements.put(table, keys), row)

    def _get(self, table: sa.Table, key: str, model_type: type[M]) -> M | None:
        rows = self._connection.rows(statements.by_id(table), {"key": key})
        return decode(rows[0][0], model_type) if rows else None

    def _list(self, table: sa.Table, model_type: type[M], task_id: str) -> list[M]:
        if task_id:
            rows = self._connection.rows(statements.by_task(table), {"key": task_id})
        else:
            rows = self._connection.rows(statements.every(table), {})
        return [decode(row[0], model_type) for row in rows]


_OWNED = {"owner": "local", "workspace": "default"}


def _task(row: Row) -> Task:
    task = decode(row[0], Task)
    return task if task.last_seq == row[1] else replace(task, last_seq=row[1])


def _event(row: Any) -> Event:
    return Event(
        row.seq,
        row.task_id,
        row.kind,
        moment(row.time),
        row.payload,
        version=row.version,
        owner=row.owner,
        actor=row.actor,
        workspace=row.workspace,
    )
