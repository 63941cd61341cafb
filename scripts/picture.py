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
    lines = sys.stdin.read().rstrip().splitlines()
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in lines:
        console.print(Text.from_ansi(line), overflow="crop", no_wrap=True)
    sys.stdout.write(console.export_svg(title="rc demo", theme=MONOKAI, unique_id="run"))


if __name__ == "__main__":
    main()
