"""Runs a command on a terminal and lets through only what a transport made for people lets through.

As the ECS Exec agent does: a UTF-8 filter on the output replaces what is no text and holds back an unfinished tail.
"""

from __future__ import annotations

import codecs
import os
import pty
import select
import sys


def main() -> None:
    """Copy between stdin/stdout and the command's terminal until it ends."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    text = codecs.getincrementaldecoder("utf-8")("replace")
    sources = [0, terminal]
    while True:
        ready, _, _ = select.select(sources, [], [])
        try:
            data = os.read(ready[0], 4096)
        except OSError:
            return
        if ready[0] == terminal:
            if not data:
                return
            write(1, text.decode(data).encode())
        elif data:
            write(terminal, data)
        else:
            # A terminal knows no half-close.
            sources.remove(0)


def write(fd: int, data: bytes) -> None:
    """All of it."""
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    main()
