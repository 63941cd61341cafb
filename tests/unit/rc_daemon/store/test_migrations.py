from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from rc_daemon.store import schema
from rc_daemon.store.dialect import engine
from rc_daemon.store.migrations import STEPS, migrate
from rc_daemon.store.store import Store
from rc_protos.errors import ErrorCode, RemoteClaudeError


def add_column(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE task ADD COLUMN colour TEXT"))


def fail(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE task ADD COLUMN shape TEXT"))
    raise RuntimeError("cut")


def columns(url: str) -> set[str]:
    return {column["name"] for column in sa.inspect(engine(url)).get_columns("task")}


def versions(url: str) -> list[int]:
    with engine(url).begin() as connection:
        return list(connection.execute(sa.select(schema.schema_version.c.version)).scalars())


def test_a_new_registry_is_made_whole_and_once(url: str) -> None:
    for _ in range(2):
        migrate(engine(url))
    assert versions(url) == [1 + len(STEPS)]
    assert set(sa.inspect(engine(url)).get_table_names()) >= set(schema.metadata.tables)


def test_an_older_registry_is_brought_up_after_a_backup(url: str, tmp_path: Path) -> None:
    migrate(engine(url), ())
    migrate(engine(url), (add_column,))
    assert "colour" in columns(url)
    assert versions(url) == [1, 2]
    assert "colour" not in columns(f"sqlite:///{tmp_path}/registry.db.schema-1")


def test_a_step_that_fails_leaves_nothing(url: str) -> None:
    migrate(engine(url), ())
    with pytest.raises(RuntimeError):
        migrate(engine(url), (add_column, fail))
    assert versions(url) == [1, 2]
    assert "shape" not in columns(url)
    migrate(engine(url), (add_column, lambda connection: None))
    assert versions(url) == [1, 2, 3]


async def test_a_newer_registry_is_refused_in_one_line(url: str) -> None:
    migrate(engine(url), (lambda connection: None,) * (len(STEPS) + 1))
    with pytest.raises(RemoteClaudeError) as caught:
        await Store.open(url)
    assert caught.value.code is ErrorCode.PRECONDITION
    assert "schema" in caught.value.message
    assert "\n" not in caught.value.message
    assert "newer rc" in caught.value.message
    assert caught.value.hint == "update rc"


def test_the_way_back_names_the_newest_backup_that_can_be_read(url: str, tmp_path: Path) -> None:
    migrate(engine(url), ())
    migrate(engine(url), (add_column, lambda connection: None))
    with pytest.raises(RemoteClaudeError) as caught:
        migrate(engine(url), (add_column,))
    kept = f"{tmp_path}/registry.db.schema-1"
    assert f"mv {kept} {tmp_path}/registry.db" in caught.value.hint
    Path(kept).rename(tmp_path / "registry.db")
    migrate(engine(url), (add_column,))
    assert versions(url) == [1, 2]


async def test_a_file_that_is_no_registry_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "registry.db").write_bytes(b"x" * 8192)
    with pytest.raises(RemoteClaudeError) as caught:
        await Store.open(f"sqlite:///{tmp_path}/registry.db")
    assert caught.value.code is ErrorCode.DATA_LOSS


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RemoteClaudeError) as caught:
        await Store.open(f"sqlite:///{tmp_path}/file/registry.db")
    assert str(tmp_path / "file") in caught.value.message


def test_the_registry_is_synced_at_every_commit(url: str, tmp_path: Path) -> None:
    migrate(engine(url))
    with engine(url).connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    with closing(sqlite3.connect(tmp_path / "registry.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)
