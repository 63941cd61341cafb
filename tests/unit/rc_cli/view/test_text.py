from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_cli.view import text
from rc_cli.view.text import age, clean, epoch, fit, one_line, table, width


@given(st.datetimes(datetime(1970, 1, 1), datetime(2399, 12, 31), timezones=st.just(UTC)))
def test_epoch_is_what_datetime_says(when: datetime) -> None:
    assert epoch(when.isoformat().replace("+00:00", "Z")) == pytest.approx(when.timestamp(), abs=1e-4)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86399, "23h"), (86400, "1d"), (9e6, "104d")],
)
def test_age(seconds: float, shown: str) -> None:
    now = epoch("2026-11-24T12:00:00Z") + seconds
    assert age("2026-11-24T12:00:00Z", now) == shown


def test_an_age_before_now_and_none() -> None:
    assert age("2026-11-24T12:00:00.5Z", epoch("2026-11-24T11:00:00Z")) == "0s"
    assert age("") == "-"


@given(st.text())
def test_untrusted_words_cannot_move_the_cursor(words: str) -> None:
    assert all(each.isprintable() or each in "\n\t" for each in clean(words))
    assert one_line(words).isprintable()


@given(st.text(), st.integers(min_value=0, max_value=30))
def test_what_is_cut_fits(words: str, columns: int) -> None:
    assert width(fit(one_line(words), columns)) <= columns


def test_a_text_without_end_is_cut_at_once() -> None:
    """Letter by letter from its end this would take hours."""
    assert fit("x" * 10_000_000, 10) == "x" * 9 + "…"
    assert fit("x" + "\u0301" * 10_000_000, 10).startswith("x\u0301")


CELLS = st.text(alphabet="ab \x1b\n界é…", max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=5), st.integers(min_value=0, max_value=40))
def test_a_table_fits_and_aligns(rows: list[tuple[str, str, str]], columns: int) -> None:
    patch = pytest.MonkeyPatch()
    patch.setattr(text, "columns", lambda: columns)
    shown = table(("ONE", "TWO", "THREE"), rows)
    patch.undo()
    lines = shown.split("\n")
    assert lines.pop() == ""
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)
    if columns >= 9:
        assert all(width(line) <= columns for line in lines)


def test_columns_begin_at_the_same_place() -> None:
    shown = table(("NAME", "STATE"), [("a", "done"), ("界界", "working"), ("long-name", "")])
    assert shown == "NAME       STATE\na          done\n界界       working\nlong-name\n"
