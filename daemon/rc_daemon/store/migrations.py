"""Numbered steps that bring an older registry to today's schema; a registry from a newer rc is refused."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from rc_daemon.store import schema
from rc_daemon.store.dialect import backup
from rc_protos import errors

BACKUP = "schema-"
Step = Callable[[sa.Connection], None]

# The first step brings schema 1 to 2, and so on. A step is never changed once it was released, and never uses
# rc_daemon.store.schema, which is always today's.
STEPS: tuple[Step, ...] = ()


def migrate(engine: sa.Engine, steps: Sequence[Step] = STEPS) -> None:
    """Make a new registry, or bring an old one up step by step, each in a transaction of its own, after a backup.

    Raises precondition when the registry was written by a newer rc.
    """
    newest = 1 + len(steps)
    found = _version(engine)
    where = engine.url.database or str(engine.url)
    if found > newest:
        raise errors.precondition(
            f"the registry {where} has schema {found}, this rc knows {newest}: it was written by a newer rc",
            f"update rc{_way_back(where, newest)}",
        )
    if found == 0:
        with engine.begin() as connection:
            schema.metadata.create_all(connection)
            _stamp(connection, newest)
        return
    if found < newest:
        backup(engine, f"{BACKUP}{found}")
    for number in range(found, newest):
        with engine.begin() as connection:
            steps[number - 1](connection)
            _stamp(connection, number + 1)


def _way_back(where: str, newest: int) -> str:
    """How to go on from the newest backup that this rc can read, if there is one."""
    for number in range(newest, 0, -1):
        kept = f"{where}.{BACKUP}{number}"
        if os.path.exists(kept):
            return f", or go back to the day of its upgrade: mv {kept} {where}"
    return ""


def _version(engine: sa.Engine) -> int:
    if not sa.inspect(engine).has_table(schema.schema_version.name):
        return 0
    with engine.begin() as connection:
        return connection.execute(sa.select(sa.func.max(schema.schema_version.c.version))).scalar() or 0


def _stamp(connection: sa.Connection, version: int) -> None:
    row = {"version": version, "applied_at": time.time_ns() // 1000}
    connection.execute(schema.schema_version.insert(), row)
