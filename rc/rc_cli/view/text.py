"""Text for terminals: untrusted words made harmless, times made short, tables made to fit."""

from __future__ import annotations

import os
import sys
import time

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


# A cut cell with fewer columns says nothing.
_LEGIBLE = 8
# Letters of a column, its combining marks included, that anybody could want to see.
_LONGEST = 16


def clean(text: str) -> str:
    """Text whose control characters cannot move the cursor or change the terminal; tabs and line ends stay."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() or each in "\n\t" else _visible(each) for each in text)


def one_line(text: str) -> str:
    """As `clean`, on one line."""
    return " ".join(clean(text).split())


def width(text: str) -> int:
    """Columns a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) != 0 for each in text)


def fit(text: str, columns: int) -> str:
    """Cut to so many columns, with an ellipsis where something is missing."""
    # However long it is: each letter takes a column, or joins one that does.
    if len(text) <= _LONGEST * max(columns, 1) and width(text) <= columns:
        return text
    kept = text[: _LONGEST * max(columns, 0)]
    while kept and width(kept) > columns - 1:
        kept = kept[:-1]
    return kept + "…" if columns > 0 else ""


def age(moment: str, now: float = 0.0) -> str:
    """How long ago an RFC 3339 time was, short; a dash for none."""
    if not moment:
        return "-"
    seconds = max(0, int((now or time.time()) - _second(moment)))
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m"
    return f"{seconds // 3600}h" if seconds < 86400 else f"{seconds // 86400}d"


def epoch(moment: str) -> float:
    """Seconds since the epoch of an RFC 3339 time in UTC, as proto JSON writes it."""
    return _second(moment) + (float(moment[19:-1]) if moment[19:20] == "." else 0.0)


def _second(moment: str) -> int:
    minute = moment[:16]
    if minute not in _minutes:
        day = 86400 * _day(int(minute[:4]), int(minute[5:7]), int(minute[8:10]))
        _minutes[minute] = day + 3600 * int(minute[11:13]) + 60 * int(minute[14:16])
    return _minutes[minute] + int(moment[17:19])


# Of many tasks some were begun, and all are looked at, in the same minutes.
_minutes: dict[str, int] = {}


def _day(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01, in years that begin in March (the calendar module takes 9 ms to import)."""
    year -= month <= 2
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * ((month - 3) % 12) + 2) // 5 + day - 719469


def dumped(document: object, indent: int = 2) -> str:
    """As JSON text, for --json."""
    import json

    return json.dumps(document, indent=indent or None) + "\n"


def size(count: int) -> str:
    """Bytes, short."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return ""


def columns() -> int:
    """Of the terminal; 0 when stdout is none."""
    try:
        return int(os.environ.get("COLUMNS") or os.get_terminal_size(1).columns)
    except (OSError, ValueError):
        return 0


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, drop: Sequence[str] = ()) -> str:
    """Columns aligned, cut to the terminal's width; in a narrow one, those of `drop` go first, then from the right."""
    found = [_column(cells) for cells in zip(heads, *rows, strict=True)]
    widths = [wide for _, wide in found]
    room = columns()
    if room:
        _squeeze(widths, room, [heads.index(each) for each in drop])
    shown = [_fitted(cells, wide, least) for (cells, wide), least in zip(found, widths, strict=True) if least]
    # Cells of plain letters are padded by the format, which is faster than padding each.
    line = "  ".join("%s" if padded else f"%-{least}s" for _, padded, least in shown)
    return "".join([f"{(line % cells).rstrip()}\n" for cells in zip(*(cells for cells, _, _ in shown), strict=True)])


def _column(cells: Sequence[str]) -> tuple[Sequence[str], int]:
    """The cells made harmless, and the columns that the widest takes."""
    text = "".join(cells)
    if text.isascii() and text.isprintable():
        return cells, max(map(len, cells))
    cells = [one_line(cell) for cell in cells]
    return cells, max(map(width, cells))


def _fitted(cells: Sequence[str], widest: int, least: int) -> tuple[Sequence[str], bool, int]:
    """(cells cut to `least` columns, whether they are padded already, `least`)."""
    if widest > least:
        cells = [fit(cell, least) for cell in cells]
    if "".join(cells).isascii():
        return cells, False, least
    return [cell + " " * (least - width(cell)) for cell in cells], True, least


def _squeeze(widths: list[int], room: int, drop: Sequence[int]) -> None:
    """Make columns fit: whole ones go where they could not be read; then the widest gives way, the first one last."""
    least = [min(widths[0], 20, max(room // 2, 1)), *(min(each, _LEGIBLE) for each in widths[1:])]
    for place in (*drop, *range(len(widths) - 1, 0, -1)):
        if sum(least) + 2 * (len(least) - least.count(0) - 1) <= room:
            break
        least[place] = widths[place] = 0
    room -= 2 * (len(widths) - widths.count(0) - 1)
    while sum(widths) > room and widths[0] > 1:
        wide = [place for place, each in enumerate(widths) if place and each > least[place]]
        widths[max(wide, key=lambda place: (widths[place], place), default=0)] -= 1


def coloured() -> bool:
    """Whether stdout takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, code: str) -> str:
    """In a colour (SGR code), where that is wanted."""
    return f"\x1b[{code}m{text}\x1b[0m" if coloured() else text


def _visible(character: str) -> str:
    code = ord(character)
    if code < 32:
        return "^" + chr(code + 64)
    return "^?" if code == 127 else f"\\u{code:04x}"
