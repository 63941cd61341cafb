"""Tables of the registry: the event log, and projections that are changed in the same transaction as it."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

Text = sa.Text
# SQLite numbers rows by themselves only in a column that is exactly INTEGER.
Seq = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _owned() -> list[sa.Column[str]]:
    return [
        sa.Column("owner", Text, nullable=False, default="local"),
        sa.Column("workspace", Text, nullable=False, default="default"),
    ]


event = sa.Table(
    "event",
    metadata,
    sa.Column("seq", Seq, primary_key=True, autoincrement=True),
    sa.Column("task_id", Text, nullable=False),
    sa.Column("kind", Text, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    # Microseconds since the epoch, UTC.
    sa.Column("time", sa.BigInteger, nullable=False),
    sa.Column("actor", Text, nullable=False),
    sa.Column("payload", Text, nullable=False),
    *_owned(),
    sa.Index("event_by_task", "task_id", "seq"),
    sqlite_autoincrement=True,
)

# The columns are what queries look for; `doc` holds the whole model as JSON.
task = sa.Table(
    "task",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("name", Text, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
    sa.Column("doc", Text, nullable=False),
    *_owned(),
    sa.Index("task_by_name", "name"),
)

sandbox = sa.Table(
    "sandbox",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("task_id", Text, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("doc", Text, nullable=False),
    *_owned(),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("task_id", Text, nullable=False),
    sa.Column("sandbox_id", Text, nullable=False),
    sa.Column("ended", sa.Boolean, nullable=False),
    sa.Column("doc", Text, nullable=False),
    *_owned(),
    sa.Index("session_by_task", "task_id"),
)

request = sa.Table(
    "request",
    metadata,
    sa.Column("id", Text, primary_key=True),
    sa.Column("task_id", Text, nullable=False),
    sa.Column("state", Text, nullable=False),
    sa.Column("doc", Text, nullable=False),
    *_owned(),
    sa.Index("request_by_state", "state"),
)

# Bytes that a session's process is owed: `from_byte` counts within one writer of one session.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("session_id", Text, primary_key=True),
    sa.Column("writer_id", Text, primary_key=True),
    sa.Column("from_byte", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

# How far each writer has come, kept when its rows are acknowledged and gone.
writer = sa.Table(
    "writer",
    metadata,
    sa.Column("session_id", Text, primary_key=True),
    sa.Column("writer_id", Text, primary_key=True),
    sa.Column("next_byte", sa.BigInteger, nullable=False),
)

placement = sa.Table(
    "placement",
    metadata,
    sa.Column("task_id", Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sandbox_id", Text, nullable=False),
)

# Small JSON documents: conversation states, journals, settings.
doc = sa.Table(
    "doc",
    metadata,
    sa.Column("collection", Text, primary_key=True),
    sa.Column("key", Text, primary_key=True),
    sa.Column("doc", Text, nullable=False),
)

schema_version = sa.Table(
    "schema_version",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied_at", sa.BigInteger, nullable=False),
)
