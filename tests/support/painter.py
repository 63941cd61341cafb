"""A full-screen program: draws pieces it is given, and on SIGWINCH its whole screen anew, as vim or htop would.

Standard library only: `python3 -c SOURCE PIECE... `, each piece in hexadecimal.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).read_text("utf-8") if "__file__" in globals() else ""
DRAWN = b"\x1b]2;drawn\x07"


def screenful(number: int, columns: int, rows: int) -> bytes:
    """A whole screen: everything, addressed, coloured."""
    chooser = random.Random(number)
    parts = [b"\x1b[m\x1b[H\x1b[2J"]
    for row in range(1, rows + 1):
        text = "".join(chooser.choice("abc 中文é─│") for _ in range(columns // 3))
        colour = chooser.choice(["0", "1;31", "7", "38;5;99", "48;2;9;8;7", "4"])
        parts.append(f"\x1b[{row};1H\x1b[{colour}m{text}\x1b[K".encode())
    parts.append(b"\x1b[0m\x1b[5;7H")
    return b"".join(parts)


def main() -> None:
    """Draw the pieces, then wait for changes of size."""
    changes = []
    signal.signal(signal.SIGWINCH, lambda *_: changes.append(1))
    for piece in sys.argv[1:]:
        os.write(1, bytes.fromhex(piece))
        time.sleep(0.002)
    changes.append(1)
    while True:
        while changes:
            changes.clear()
            size = os.get_terminal_size(1)
            os.write(1, screenful(len(sys.argv), size.columns, size.lines) + DRAWN)
        time.sleep(0.01)


if __name__ == "__main__":
    main()
