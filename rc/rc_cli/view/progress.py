"""How far a transfer is: one line on stderr that is written over, where stderr is a terminal."""

from __future__ import annotations

import sys
import time

from rc_cli.view.text import one_line, size

# Seconds between two pictures.
EVERY = 0.1


class Progress:
    """The line; `moved` is for whoever carries bytes."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._name, self._done, self._total, self._next = "", 0, 0, 0.0

    def begin(self, name: str, total: int = 0) -> None:
        """The next file; 0: its size is not known."""
        self._name, self._done, self._total = one_line(name), 0, total
        self._draw()

    def moved(self, count: int) -> None:
        """So many bytes more."""
        self._done += count
        if time.monotonic() >= self._next:
            self._draw()

    def end(self) -> None:
        """The line is somebody else's again."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def _draw(self) -> None:
        self._next = time.monotonic() + EVERY
        if self._shown:
            total = f" of {size(self._total)}" if self._total else ""
            sys.stderr.write(f"\r\x1b[K{self._name} {size(self._done)}{total}")
            sys.stderr.flush()
