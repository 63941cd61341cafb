"""diff, apply, fetch: the work of a task."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING, BinaryIO

from rc_cli.loop import with_client
from rc_cli.view.text import clean, coloured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rc_client.client import DaemonClient


def diff(task: str, *, stat: bool) -> int:
    """Print the patch, through a pager on a terminal."""

    async def whole(client: DaemonClient) -> int:
        with _pager() as out:
            async for chunk in client.diff_task(task, stat=stat, color=coloured()):
                out.write(chunk)
            out.flush()
        return 0

    return with_client(whole)


def apply(task: str) -> int:
    """Into this working tree."""
    files = with_client(lambda client: client.apply_task(task, os.getcwd()))
    sys.stdout.write("".join(f"{clean(each)}\n" for each in files))
    sys.stderr.write(f"{len(files)} file(s) changed; look at them with: git diff\n" if files else "nothing to apply\n")
    return 0


def fetch(task: str, branch: str) -> int:
    """As a local branch."""
    name, commit = with_client(lambda client: client.fetch_task(task, os.getcwd(), branch=branch))
    sys.stdout.write(f"{name}\n")
    sys.stderr.write(f"{name} is at {commit[:12]}; look at it with: git log {name}\n")
    return 0


@contextlib.contextmanager
def _pager() -> Iterator[BinaryIO]:
    """What git's users expect of long output."""
    command = os.environ.get("GIT_PAGER") or os.environ.get("PAGER") or "less"
    if not sys.stdout.isatty() or command == "cat":
        yield sys.stdout.buffer
        return
    environment = {"LESS": "FRX", **os.environ}
    try:
        pager = subprocess.Popen(command, shell=True, stdin=subprocess.PIPE, env=environment)  # noqa: S602 - the user's
    except OSError:
        yield sys.stdout.buffer
        return
    assert pager.stdin is not None
    try:
        yield pager.stdin  # type: ignore[misc]
    except BrokenPipeError:
        pass
    finally:
        with contextlib.suppress(BrokenPipeError):
            pager.stdin.close()
        pager.wait()
