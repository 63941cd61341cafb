"""Sessions against tmux: key echo, output, and what a client that hangs costs the others."""

from __future__ import annotations

import itertools
import os
import string
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from installation import Installation
from terminal import Terminal
from timing import Row, interleave, medians, ratio_row

OUTPUT_MIB = 32
LINE = b"the quick brown fox jumps over the lazy dog, and over the wide river \xe2\x80\x94 0123456789\n"


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this file."""
    with ExitStack() as stack:
        rc = stack.enter_context(Installation())
        task = rc.task("terminal")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rcb")))
        yield echo(rc, task, folder, rounds * 20)
        yield output(rc, task, folder, max(3, rounds // 4))
        yield slow_client(rc, task, folder, max(3, rounds // 4))


@contextmanager
def tmux(folder: Path) -> Iterator[Terminal]:
    """A tmux of its own, attached, with a shell and no status line."""
    config = folder / "tmux.conf"
    config.write_text("set -g status off\nset -g default-shell /bin/sh\nset -g escape-time 0\n")
    argv = ["tmux", "-S", str(folder / "tmux"), "-f", str(config)]
    with Terminal([*argv, "new-session", "-s", "bench"]) as terminal:
        terminal.quiet()
        yield terminal
        subprocess.run([*argv, "kill-server"], check=False, capture_output=True, timeout=30)


@contextmanager
def shell(rc: Installation, task: str, name: str) -> Iterator[Terminal]:
    """`rc shell` on a terminal."""
    with Terminal([*rc.argv, "shell", task, "--name", name], rc.env) as terminal:
        terminal.quiet(1.0)
        yield terminal


def echo(rc: Installation, task: str, folder: Path, keys: int) -> Row:
    """One key typed, until it appears: cat on a raw terminal behind each."""
    alphabet = itertools.cycle(string.ascii_lowercase.encode())
    with shell(rc, task, "echo") as ours, tmux(folder) as theirs:
        for terminal in (ours, theirs):
            terminal.type(b"stty raw -echo; printf 're%s' ady; exec cat\n")
            terminal.wait_for(b"ready")
            terminal.quiet()
        typing = {
            "rc": lambda: ours.key_echo(bytes([next(alphabet)])),
            "tmux": lambda: theirs.key_echo(bytes([next(alphabet)])),
        }
        median = medians(interleave(typing, keys, warm_up=20))
    return ratio_row("key echo through daemon and agent", median["rc"], median["tmux"], "tmux", 4.0, unit="us")


def printing(terminal: Terminal, file: str) -> float:
    """Seconds until a file printed in the terminal's shell has arrived."""
    terminal.quiet(0.2)
    began = time.monotonic()
    terminal.type(f"cat {file}; printf 'do%s' ne-printing\n".encode())
    return terminal.wait_for(b"done-printing", 300) - began


def make_output(rc: Installation, task: str, folder: Path) -> tuple[str, str]:
    """The same file on the host and in the sandbox: (path in the sandbox, path on the host)."""
    data = LINE * (OUTPUT_MIB * 2**20 // len(LINE))
    host = folder / "output.txt"
    if not host.exists():
        host.write_bytes(data)
        with host.open("rb") as file:
            subprocess.run(
                [*rc.argv, "exec", task, "--", "sh", "-c", "cat > /tmp/output.txt"],
                env={**os.environ, **rc.env},
                stdin=file,
                check=True,
                timeout=120,
            )
    return "/tmp/output.txt", str(host)


def output(rc: Installation, task: str, folder: Path, rounds: int) -> Row:
    """A file printed in a session until its last byte is on the client's terminal."""
    inside, outside = make_output(rc, task, folder)
    with shell(rc, task, "output") as ours, tmux(folder) as theirs:
        contestants = {"rc": lambda: printing(ours, inside), "tmux": lambda: printing(theirs, outside)}
        median = medians(interleave(contestants, rounds, warm_up=1))
    speed = {name: OUTPUT_MIB / seconds for name, seconds in median.items()}
    ratio = speed["rc"] / speed["tmux"]
    detail = f"{speed['rc']:.1f} MiB/s against {speed['tmux']:.1f} MiB/s"
    return Row("session output to a client", f"{ratio:.2f}x tmux attached", ">= 1x", ratio >= 1.0, detail)


def slow_client(rc: Installation, task: str, folder: Path, rounds: int) -> Row:
    """The same output, alone and with a second client that hangs."""
    inside, _ = make_output(rc, task, folder)
    with ExitStack() as stack:
        alone = stack.enter_context(shell(rc, task, "alone"))
        watched = stack.enter_context(shell(rc, task, "watched"))
        hanging = stack.enter_context(Terminal([*rc.argv, "attach", f"{task}/watched"], rc.env))
        hanging.quiet(1.0)
        hanging.stop_reading()
        contestants = {"alone": lambda: printing(alone, inside), "watched": lambda: printing(watched, inside)}
        median = medians(interleave(contestants, rounds, warm_up=1))
    return ratio_row(
        "output beside a client that hangs", median["watched"], median["alone"], "without it", 1.1, unit="s"
    )
