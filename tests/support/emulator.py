"""A terminal emulator that remembers: pyte with an alternate screen, and its grid with attributes to compare."""

from __future__ import annotations

import copy
from typing import Any

import pyte

_ALTERNATE = (47, 1047, 1049)
Grid = list[list[tuple[Any, ...]]]


class _Screen(pyte.Screen):
    """What pyte leaves out and our sessions use."""

    def __init__(self, columns: int, lines: int) -> None:
        self.normal: Any = None
        super().__init__(columns, lines)

    def set_mode(self, *modes: int, **how: Any) -> None:
        if how.get("private") and any(mode in _ALTERNATE for mode in modes) and self.normal is None:
            self.normal = copy.deepcopy(self.buffer), copy.copy(self.cursor)
            attributes = self.cursor.attrs
            self.erase_in_display(2)
            self.cursor.attrs = attributes
        super().set_mode(*modes, **how)

    def reset_mode(self, *modes: int, **how: Any) -> None:
        if how.get("private") and any(mode in _ALTERNATE for mode in modes) and self.normal is not None:
            self.buffer, self.cursor = self.normal
            self.normal = None
            self.dirty.update(range(self.lines))
        super().reset_mode(*modes, **how)

    def select_graphic_rendition(self, *attributes: int, **how: Any) -> None:
        # pyte takes "CSI > 4 m" for a rendition.
        if not how.get("private"):
            super().select_graphic_rendition(*attributes)


class Emulator:
    """Fed bytes; shows a grid."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.screen = _Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)

    def feed(self, data: bytes) -> None:
        """Output arrives."""
        self._stream.feed(data)

    def resize(self, columns: int, rows: int) -> None:
        """The window changes its size."""
        self.screen.resize(rows, columns)

    def grid(self) -> Grid:
        """Every cell with its attributes."""
        screen = self.screen
        return [[tuple(screen.buffer[y][x]) for x in range(screen.columns)] for y in range(screen.lines)]

    def picture(self) -> tuple[Grid, tuple[int, int, bool], bool, str]:
        """All that a person could tell apart: grid, cursor, alternate screen, title."""
        cursor = self.screen.cursor
        return self.grid(), (cursor.x, cursor.y, cursor.hidden), self.screen.normal is not None, self.screen.title

    def text(self) -> str:
        """The grid's letters, for a failed test's message."""
        return "\n".join(line.rstrip() for line in self.screen.display)
