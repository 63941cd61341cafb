"""One database connection that says itself where its transactions begin and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rc_daemon.store.dialect import BEGIN_READ, BEGIN_WRITE, READER

Row = tuple[Any, ...]


class _Prepared:
    """A statement as this database spells it, and how to give it its parameters."""

    def __init__(self, statement: Any, names: Sequence[str], dialect: sa.Dialect) -> None:
        columns = list(names) if isinstance(statement, sa.Insert) else None
        compiled = statement.compile(dialect=dialect, column_keys=columns)
        self.text = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup
        self._fixed = {name: value for name, value in compiled.params.items() if name not in names}

    def parameters(self, values: Mapping[str, Any]) -> Any:
        if self._fixed:
            values = {**self._fixed, **values}
        return values if self._order is None else [values[name] for name in self._order]


class Connection:
    """Executes SQLAlchemy Core statements; compiled once each, because the compiler costs more than the database."""

    def __init__(self, engine: sa.Engine, *, reader: bool) -> None:
        # Autocommit: neither the driver nor SQLAlchemy begins a transaction of its own.
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._dialect = engine.dialect
        driver = self._connection.connection.dbapi_connection
        assert driver is not None
        self._cursor = driver.cursor()
        if reader:
            self._cursor.execute(READER[self._dialect.name])
        self._begin = (BEGIN_READ if reader else BEGIN_WRITE)[self._dialect.name]
        self._prepared: dict[Callable[[str], Any], _Prepared] = {}

    def begin(self) -> None:
        """Start a transaction."""
        self._cursor.execute(self._begin)

    def commit(self) -> None:
        """Make it durable."""
        self._cursor.execute("COMMIT")

    def rollback(self) -> None:
        """Undo it; a database that has undone it by itself (a full disk) is fine."""
        try:
            self._cursor.execute("ROLLBACK")
        except self._dialect.loaded_dbapi.Error:
            return

    def run(self, make: Callable[[str], Any], values: Mapping[str, Any]) -> None:
        """Execute what `make(dialect name)` builds; a function stands for one statement, built at its first use."""
        self._execute(make, values)

    def rows(self, make: Callable[[str], Any], values: Mapping[str, Any]) -> list[Row]:
        """Execute what `make(dialect name)` builds; all its rows."""
        self._execute(make, values)
        return list(self._cursor.fetchall())

    def query(self, statement: sa.Executable) -> Sequence[sa.Row[Any]]:
        """Execute a statement that is built anew each time."""
        return self._connection.execute(statement).all()

    def change(self, statement: sa.Executable) -> int:
        """Execute a change that is built anew each time; the number of rows it met."""
        return self._connection.execute(statement).rowcount

    def close(self) -> None:
        """Let go of the connection."""
        self._cursor.close()
        self._connection.close()

    def _execute(self, make: Callable[[str], Any], values: Mapping[str, Any]) -> None:
        prepared = self._prepared.get(make)
        if prepared is None:
            prepared = _Prepared(make(self._dialect.name), tuple(values), self._dialect)
            self._prepared[make] = prepared
        self._cursor.execute(prepared.text, prepared.parameters(values))
