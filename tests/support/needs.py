"""Parts of the machine that a test needs: a missing one skips with the reason, and fails where CI=true.

A test says `@pytest.mark.needs("bwrap")`; conftest.py takes `pytest_runtest_setup` from here.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support import engine, sshd


def is_ci() -> bool:
    """Whether a missing part is a failure."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def lacking(reason: str) -> None:
    """End the running test because a part is missing."""
    if is_ci():
        pytest.fail(f"in CI nothing may be missing: {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Look for every part that the test's marks name."""
    for mark in item.iter_markers("needs"):
        for part in mark.args:
            reason = find(part)
            if reason:
                lacking(reason)


@functools.cache
def find(part: str) -> str:
    """Empty if the part is there, else why it is not."""
    return PARTS[part]()


def command(name: str) -> Callable[[], str]:
    """A part that is there when its command is."""
    return lambda: "" if shutil.which(name) else f"{name} is not installed"


def bwrap() -> str:
    """bubblewrap, present and allowed to make its namespaces."""
    if not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    try:
        done = subprocess.run(
            ["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "bubblewrap does not answer"
    return "" if done.returncode == 0 else f"bubblewrap is refused: {done.stderr.strip()}"


def faketime() -> str:
    """libfaketime, which moves the clock of one process."""
    return "" if faketime_library() else "libfaketime is not installed"


def faketime_library() -> Path | None:
    """The library to preload."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


PARTS: dict[str, Callable[[], str]] = {
    "bwrap": bwrap,
    "docker": engine.find,
    "sshd": sshd.find,
    "git": command("git"),
    "tmux": command("tmux"),
    "ssh": command("ssh"),
    "rsync": command("rsync"),
    "strace": command("strace"),
    "vim": command("vim"),
    "less": command("less"),
    "faketime": faketime,
}
