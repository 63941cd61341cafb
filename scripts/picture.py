"""Coloured terminal text on stdin becomes an SVG on stdout."""

from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

WIDTH = 96


def main() -> None:
    """Render what is there, without the empty lines at its end."""
    # As one: a colour that tmux turns on stays on over line ends.
    lines = Text.from_ansi(sys.stdin.read().rstrip()).split("\n")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(line, overflow="crop", no_wrap=True)
    sys.stdout.write(console.export_svg(title="rc demo", theme=MONOKAI, unique_id="run"))


if __name__ == "__main__":
    main()
