"""A session that prints a known stream and keeps what is typed; run by itself in a sandbox, imported to compare.

Standard library only: `python3 -c SOURCE SEED BYTES TYPED FILE`.
"""

from __future__ import annotations

import os
import random
import select
import sys
import threading
import time
import tty
from pathlib import Path

SOURCE = Path(__file__).read_text("utf-8") if "__file__" in globals() else ""
# Every byte value, wide characters, escapes of every kind, and halves of them.
PIECES = [
    bytes(range(256)),
    "中文 🎉 é ─│ e\u0301 \r\n".encode(),
    b"\x1b[1;38;5;200m\x1b[48;2;1;2;3m",
    b"\x1b]0;a title\x07\x1b]8;;http://x/\x1b\\",
    b"\x1b[?1049h\x1b[3;20r\x1b[?1049l",
    b"\x1bP1$r0m\x1b\\",
    "中".encode()[:2],
    b"\x1b[",
]
EXIT = 7
LATE = 0.3


def stream(seed: int, size: int) -> bytes:
    """What a session of this seed prints."""
    dice = random.Random(seed)
    data = bytearray()
    while len(data) < size:
        data += dice.choice(PIECES)
        data += dice.randbytes(dice.randrange(200))
    return bytes(data[:size])


def show(seed: int, size: int) -> None:
    """Print it in pieces that end anywhere."""
    dice, data, at = random.Random(seed + 1), stream(seed, size), 0
    while at < size:
        at += os.write(1, data[at : at + dice.randrange(1, 20_000)])
        time.sleep(0.001)


def keep(typed: int, file: str) -> None:
    """Store so many typed bytes, and whatever comes soon after them."""
    with open(file, "wb", buffering=0) as store:
        while typed > 0 or select.select([0], [], [], LATE)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            store.write(data)
            typed -= len(data)


def main() -> None:
    """Print and take in at once."""
    seed, size, typed = map(int, sys.argv[1:4])
    if os.isatty(0):
        tty.setraw(0)
    printing = threading.Thread(target=show, args=(seed, size))
    printing.start()
    keep(typed, sys.argv[4])
    printing.join()
    sys.exit(EXIT)


if __name__ == "__main__":
    main()
