"""An rc of its own below a temporary directory: daemon, registry, a repository to work on, tasks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BIN = Path(sys.executable).parent


class Installation:
    """`rc` with its own RC_HOME; ends its daemon and removes everything when it closes."""

    def __init__(self) -> None:
        # Short: the path of a unix socket holds 108 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="rcb"))
        self.env = {"RC_HOME": str(self.home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
        self.argv = [str(BIN / "rc")]

    def rc(self, *words: str, deadline: float = 120, directory: Path | None = None) -> str:
        """Run a command that must succeed; its stdout."""
        done = subprocess.run(
            [*self.argv, *words],
            env={**os.environ, **self.env},
            cwd=directory or self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"rc {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
        return done.stdout

    def json(self, *words: str) -> Any:
        """Run a command with --json; what it printed."""
        return json.loads(self.rc(*words, "--json"))

    def repository(self) -> Path:
        """A small git repository to work on."""
        folder = self.home / "repository"
        if not folder.exists():
            folder.mkdir()
            (folder / "README.md").write_text("bench\n")
            identity = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
            for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
                subprocess.run(["git", *words], cwd=folder, check=True, timeout=60)
        return folder

    def task(self, name: str) -> str:
        """A task of the demo coding agent that has ended its turn, its sandbox up."""
        self.rc("run", "-d", "--agent", "demo", "--name", name, "say hello", directory=self.repository())
        self.rc("wait", name)
        return name

    def daemon_pid(self) -> int:
        """The daemon's process."""
        return int(self.json("daemon", "status")["pid"])

    def close(self) -> None:
        """Remove the tasks, stop the daemon, delete everything."""
        for task in self.json("ls"):
            self.rc("rm", "--discard", task["id"])
        self.rc("daemon", "stop")
        ends = time.monotonic() + 10
        while time.monotonic() < ends and shutil.rmtree(self.home, ignore_errors=True) is None and self.home.exists():
            time.sleep(0.1)

    def __enter__(self) -> Self:
        self.rc("daemon", "start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
