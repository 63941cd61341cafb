"""The one file that knows which database it is: connections, the start of a transaction, upserts, errors."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rc_protos import errors

# Locks are held for microseconds; whoever waits longer meets another program in the file.
BUSY_SECONDS = 10


def engine(url: str) -> sa.Engine:
    """An engine whose transactions begin as writers and are on disk when committed."""
    made = sa.create_engine(url, poolclass=sa.NullPool)
    if made.dialect.name == "sqlite":
        sa.event.listen(made, "connect", _sqlite_connect)
        sa.event.listen(made, "begin", _sqlite_begin)
    return made


# A writer takes the lock at once: a transaction that began as a reader could not become one.
BEGIN_WRITE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN"}
BEGIN_READ = {"sqlite": "BEGIN", "postgresql": "BEGIN READ ONLY"}
# Said once to a connection that only reads.
READER = {"sqlite": "PRAGMA query_only=ON", "postgresql": "SET default_transaction_read_only = on"}
# What a failing database raises: SQLAlchemy's own, and the driver's where statements go to it directly.
FAILURES: tuple[type[Exception], ...] = (sa.exc.SQLAlchemyError, sqlite3.Error)


def _sqlite_connect(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: it would begin them as readers.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL: the write-ahead log is synced at every commit, so what was acknowledged survives power loss.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql(BEGIN_WRITE["sqlite"])


def upsert(table: sa.Table, dialect: str, keys: tuple[str, ...]) -> Any:
    """INSERT, or UPDATE of every other column where the keys are there."""
    module = sqlite if dialect == "sqlite" else postgresql
    statement = module.insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=list(keys), set_=others)


def make_place(database: sa.Engine) -> None:
    """The directory of an embedded registry, readable by its user only; raises precondition."""
    if database.dialect.name != "sqlite" or not database.url.database:
        return
    place = Path(database.url.database).parent
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise errors.precondition(
            f"{place} cannot be made: {error.strerror}", "RC_HOME=DIR names another place"
        ) from None


def backup(database: sa.Engine, suffix: str) -> None:
    """Copy an embedded registry beside itself; a server's registry is backed up by its own tools."""
    if database.dialect.name != "sqlite" or not database.url.database:
        return
    path = Path(database.url.database)
    temporary = path.with_name(f"{path.name}.copying")
    temporary.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(temporary)) as target:
        source.backup(target)
    temporary.rename(path.with_name(f"{path.name}.{suffix}"))


def translate(error: Exception, where: str) -> errors.RemoteClaudeError:
    """A database's failure as ours."""
    origin = getattr(error, "orig", None) or error
    text = str(origin)
    if isinstance(origin, sqlite3.Error):
        if "full" in text or "disk I/O" in text:
            return errors.exhausted(f"the registry cannot write to {where}: {text}", "free some space, or run: rc gc")
        if "locked" in text:
            return errors.unavailable(f"the registry {where} is locked by another program", "close it and try again")
        if "unable to open" in text or "readonly" in text:
            return errors.precondition(f"the registry {where} cannot be opened for writing: {text}", "check its owner")
        if "malformed" in text or "not a database" in text:
            return errors.RemoteClaudeError(
                f"the registry {where} is damaged: {text}",
                f"put a backup in its place, or move it away: its tasks' work stays in {os.path.dirname(where)}/tasks",
                code=errors.ErrorCode.DATA_LOSS,
            )
    return errors.internal(f"the registry {where}: {text}")
