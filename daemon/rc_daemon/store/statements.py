"""The statements of the hot path: each is built and compiled once per connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import sqlalchemy as sa

from rc_daemon.store import schema
from rc_daemon.store.dialect import upsert
from rc_protos.model import RequestState, TaskState

Make = Callable[[str], Any]
_LIVING = schema.task.c.state != TaskState.REMOVED.value
_TASK = (schema.task.c.doc, schema.task.c.last_seq)


def insert_event(_dialect: str) -> Any:
    """A new event; gives its sequence number."""
    return schema.event.insert().returning(schema.event.c.seq)


def last_seq(_dialect: str) -> Any:
    """The newest sequence number, or none."""
    return sa.select(sa.func.max(schema.event.c.seq))


def follow_log(_dialect: str) -> Any:
    """Set a task's `last_seq`."""
    table = schema.task
    return sa.update(table).where(table.c.id == sa.bindparam("key")).values(last_seq=sa.bindparam("seq"))


def task_by_id(_dialect: str) -> Any:
    """(doc, last_seq) of one task."""
    return sa.select(*_TASK).where(schema.task.c.id == sa.bindparam("key"))


def tasks_by_name(_dialect: str) -> Any:
    """(doc, last_seq) of living tasks."""
    return sa.select(*_TASK).where(schema.task.c.name == sa.bindparam("key"), _LIVING)


def tasks_by_prefix(_dialect: str) -> Any:
    """(doc, last_seq) of all tasks whose id lies between."""
    return sa.select(*_TASK).where(schema.task.c.id.between(sa.bindparam("low"), sa.bindparam("high")))


def all_tasks(_dialect: str) -> Any:
    """(doc, last_seq), oldest first."""
    return sa.select(*_TASK).order_by(schema.task.c.id)


def living_tasks(_dialect: str) -> Any:
    """(doc, last_seq) of those not removed, oldest first."""
    return sa.select(*_TASK).where(_LIVING).order_by(schema.task.c.id)


def pending_requests(_dialect: str) -> Any:
    """(doc,) of every pending request, oldest first."""
    table = schema.request
    pending = table.c.state == RequestState.PENDING.value
    return sa.select(table.c.doc).where(pending).order_by(table.c.id)


def pending_requests_of(_dialect: str) -> Any:
    """(doc,) of one task's pending requests, oldest first."""
    table = schema.request
    pending = table.c.state == RequestState.PENDING.value
    return sa.select(table.c.doc).where(pending, table.c.task_id == sa.bindparam("key")).order_by(table.c.id)


def placements_of(_dialect: str) -> Any:
    """(task_id, sandbox_id, epoch), oldest epoch first."""
    table = schema.placement
    query = sa.select(table.c.task_id, table.c.sandbox_id, table.c.epoch)
    return query.where(table.c.task_id == sa.bindparam("key")).order_by(table.c.epoch)


def next_byte(_dialect: str) -> Any:
    """(next_byte,) of one writer of one session."""
    table = schema.writer
    return sa.select(table.c.next_byte).where(
        table.c.session_id == sa.bindparam("session"), table.c.writer_id == sa.bindparam("writer")
    )


def insert_outbox(_dialect: str) -> Any:
    """Bytes owed to a session."""
    return schema.outbox.insert()


def outbox_of(_dialect: str) -> Any:
    """(session_id, writer_id, from_byte, data), in the order of the numbers."""
    table = schema.outbox
    query = sa.select(table.c.session_id, table.c.writer_id, table.c.from_byte, table.c.data)
    return query.where(table.c.session_id == sa.bindparam("key")).order_by(table.c.writer_id, table.c.from_byte)


def delete_outbox(_dialect: str) -> Any:
    """Rows that end at or before a watermark."""
    table = schema.outbox
    return sa.delete(table).where(
        table.c.session_id == sa.bindparam("session"),
        table.c.writer_id == sa.bindparam("writer"),
        table.c.from_byte + sa.func.length(table.c.data) <= sa.bindparam("watermark", type_=sa.BigInteger),
    )


def doc_by_key(_dialect: str) -> Any:
    """(doc,) of one document."""
    table = schema.doc
    return sa.select(table.c.doc).where(
        table.c.collection == sa.bindparam("collection"), table.c.key == sa.bindparam("key")
    )


def docs_of(_dialect: str) -> Any:
    """(key, doc) of a collection."""
    table = schema.doc
    return (
        sa.select(table.c.key, table.c.doc)
        .where(table.c.collection == sa.bindparam("collection"))
        .order_by(table.c.key)
    )


def delete_doc(_dialect: str) -> Any:
    """One document."""
    table = schema.doc
    return sa.delete(table).where(table.c.collection == sa.bindparam("collection"), table.c.key == sa.bindparam("key"))


@cache
def put(table: sa.Table, keys: tuple[str, ...] = ("id",)) -> Make:
    """INSERT, or UPDATE where the keys are there."""

    def make(dialect: str) -> Any:
        return upsert(table, dialect, keys)

    return make


@cache
def by_id(table: sa.Table) -> Make:
    """(doc,) of one row."""

    def make(_dialect: str) -> Any:
        return sa.select(table.c.doc).where(table.c.id == sa.bindparam("key"))

    return make


@cache
def by_task(table: sa.Table) -> Make:
    """(doc,) of the rows of one task, oldest first."""

    def make(_dialect: str) -> Any:
        return sa.select(table.c.doc).where(table.c.task_id == sa.bindparam("key")).order_by(table.c.id)

    return make


@cache
def every(table: sa.Table) -> Make:
    """(doc,) of every row, oldest first."""

    def make(_dialect: str) -> Any:
        return sa.select(table.c.doc).order_by(table.c.id)

    return make
