"""`rc run` offers to install a coding agent that is not there; a script gets the command to run."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading

import pytest

from rc_protos.errors import ErrorCode, RemoteClaudeError
from support.daemon import DaemonProcess
from support.releases import today

WORDS = ("run", "--agent", "absent", "do it")
REFUSED = RemoteClaudeError("", code=ErrorCode.PRECONDITION).border.exit
TOML = """
title = "Absent"
command = ["absent"]
[adapter]
package = "absent"
pinned = "1.0.0"
"""


@pytest.fixture
def repository(daemon: DaemonProcess) -> DaemonProcess:
    own = daemon.places.config / "coding-agents"
    own.mkdir()
    (own / "absent.toml").write_text(TOML)
    daemon.repository()
    return daemon


def test_a_person_is_asked(repository: DaemonProcess) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rc_cli.main", *WORDS],
        cwd=repository.repository(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    late = threading.Timer(60, process.kill)
    late.start()
    said = b""
    while b"[Y/n]" not in said:
        said += os.read(ours, 4096)
    os.write(ours, b"n\n")
    assert process.wait(60) == REFUSED
    late.cancel()
    os.close(ours)
    assert b"Absent is not installed. Install it now?" in said


def test_a_script_is_told(repository: DaemonProcess) -> None:
    code, said = today().answer(*WORDS)
    assert (code, said.splitlines()) == (REFUSED, ["rc: Absent is not installed", "    rc agent install absent"])
