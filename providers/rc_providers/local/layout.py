"""The directories of one local sandbox on the host, and what they are called inside."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rc_protos.model import Isolation
from rc_providers.local import ask

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Record:
    """What a sandbox was made from; written before anything of it runs."""

    tag: str
    installation: str
    isolation: str
    binds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Supervisor:
    """Who started a sandbox's processes, and the process that we started for it (bubblewrap, or the same)."""

    pid: int
    started: str
    child: int
    child_started: str
    # Whether the host's abstract unix sockets are within reach.
    abstract_sockets: bool


@dataclass(frozen=True)
class Layout:
    """One sandbox below the provider's root."""

    directory: Path

    @property
    def workspace(self) -> Path:
        """The repository."""
        return self.directory / "workspace"

    @property
    def home(self) -> Path:
        """HOME of everything inside."""
        return self.directory / "home"

    @property
    def state(self) -> Path:
        """The agent's own files and the supervisor's socket."""
        return self.directory / "state"

    @property
    def temporary(self) -> Path:
        """What is /tmp inside."""
        return self.directory / "tmp"

    @property
    def etc(self) -> Path:
        """Made-up system files, not writable from inside."""
        return self.directory / "etc"

    @property
    def lock(self) -> Path:
        """Held by whoever starts, ends or removes the sandbox."""
        return self.directory / "lock"

    @property
    def _record(self) -> Path:
        return self.directory / "sandbox.json"

    @property
    def _supervisor(self) -> Path:
        return self.directory / "process.json"

    @property
    def socket(self) -> Path:
        """The supervisor's."""
        return self.state / ask.SOCKET

    @property
    def log(self) -> Path:
        """Standard error of what runs inside, written from inside."""
        return self.state / "sandbox.log"

    @property
    def start_log(self) -> Path:
        """What bubblewrap or the supervisor say when they do not start."""
        return self.directory / "start.log"

    def make(self, record: Record) -> None:
        """The record first, so that whatever is made is found again; then what is missing."""
        if self.record() is None:
            write_atomically(self._record, asdict(record), durable=True)
        for place in (self.workspace, self.home, self.state, self.temporary, self.etc):
            place.mkdir(mode=0o700, exist_ok=True)
        home = self.inside_home(record)
        (self.etc / "passwd").write_text(f"rc:x:1000:1000:rc:{home}:/bin/bash\nroot:x:0:0::/:/bin/sh\n")
        (self.etc / "group").write_text("rc:x:1000:\nroot:x:0:\n")

    def record(self) -> Record | None:
        """What the sandbox was made from; None when there is none."""
        data = read_json(self._record)
        return Record(**data | {"binds": tuple(data["binds"])}) if data else None

    def record_supervisor(self, supervisor: Supervisor) -> None:
        """Write down who runs; a power cut takes both."""
        write_atomically(self._supervisor, asdict(supervisor), durable=False)

    def supervisor(self) -> Supervisor | None:
        """Who was started last, unless it was ended since."""
        data = read_json(self._supervisor)
        return Supervisor(**data) if data else None

    def forget_supervisor(self) -> None:
        """Nobody runs any more."""
        self._supervisor.unlink(missing_ok=True)
        self.socket.unlink(missing_ok=True)

    def remove(self) -> None:
        """Everything, the record last but one: what is half removed is found again."""
        kept = {self._record.name, self.lock.name}
        remove([path for path in self.directory.iterdir() if path.name not in kept])
        self._record.unlink(missing_ok=True)
        self.lock.unlink(missing_ok=True)
        with suppress(OSError):
            # Somebody who waited for the lock makes it anew.
            self.directory.rmdir()

    def inside_workspace(self, record: Record) -> str:
        """The workspace's path as seen from inside."""
        if record.isolation != Isolation.BUBBLEWRAP:
            return str(self.workspace)
        # What is lent keeps its own path: it must not appear in the middle of the task's files.
        taken = any(place == "/workspace" or place.startswith("/workspace/") for place in record.binds)
        return "/rc/workspace" if taken else "/workspace"

    def inside_home(self, record: Record) -> str:
        """HOME as seen from inside."""
        return "/home/rc" if record.isolation == Isolation.BUBBLEWRAP else str(self.home)

    def inside_state(self, record: Record) -> str:
        """The agent's directory as seen from inside."""
        return "/run/rc" if record.isolation == Isolation.BUBBLEWRAP else str(self.state)

    def environment(self, record: Record, python: str) -> dict[str, str]:
        """Everything in the environment inside: nothing of the caller's."""
        search = PATH if record.isolation == Isolation.BUBBLEWRAP else os.environ.get("PATH", PATH)
        beside = os.path.dirname(python)
        return {
            "HOME": self.inside_home(record),
            "PATH": search if beside in search.split(":") else f"{search}:{beside}",
            "LANG": "C.UTF-8",
            "USER": "rc",
            "LOGNAME": "rc",
            "SHELL": "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh",
            "RC_STATE": self.inside_state(record),
            "RC_WORKSPACE": self.inside_workspace(record),
            "RC_SANDBOX": record.tag,
            **({} if record.isolation == Isolation.BUBBLEWRAP else {"TMPDIR": str(self.temporary)}),
        }


def write_atomically(path: Path, data: Any, *, durable: bool) -> None:
    """Replace a JSON file whole."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(data, file)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(temporary, path)


def remove(paths: Sequence[Path]) -> None:
    """Remove whole trees, whatever modes, names and depths the sandbox gave them; raises OSError."""
    # Python's own walkers end at the depth of their stack, or where a path gets too long.
    names = [str(path) for path in paths]
    for command in (["rm", "-rf", "--"], ["chmod", "-R", "u+rwX", "--"], ["rm", "-rf", "--"]):
        if not any(map(os.path.lexists, names)):
            return
        done = subprocess.run([*command, *names], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(errno.EACCES, done.stderr.strip().splitlines()[-1])


def read_json(path: Path) -> Any:
    """The content, or None when it is absent or damaged."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
