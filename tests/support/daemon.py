"""A real daemon in a home of its own: started, killed, started again; nothing of it is left afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rc_protos import platform
from rc_protos.model import Isolation, Task, TaskSpec
from rc_protos.paths import Paths
from rc_providers.local import LocalProvider
from rc_providers.local.layout import Layout

DEADLINE = 30.0


class DaemonProcess:
    """One installation and the daemon in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        # One thread may end it while another brings it back.
        self._changing = threading.Lock()

    @property
    def places(self) -> Paths:
        """Where it keeps what."""
        return Paths(*(self.home / name for name in ("run", "data", "config", "cache", "log")))

    @property
    def pid(self) -> int:
        """The daemon's process."""
        return int(self.places.lock_file.read_text())

    def spawn(self) -> subprocess.Popen[str]:
        """Start a daemon process and do not wait for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RC_")}
        return subprocess.Popen(
            [sys.executable, "-m", "rc_daemon"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment | {"RC_HOME": str(self.home)} | self.environment,
            start_new_session=True,
        )

    def start(self) -> None:
        """Start it and wait until it serves."""
        with self._changing:
            self._start()

    def kill(self) -> None:
        """kill -9."""
        with self._changing:
            self._end(signal.SIGKILL)

    def stop(self) -> tuple[int, str, str]:
        """A clean stop: (exit code, stdout, stderr)."""
        with self._changing:
            return self._end(signal.SIGTERM)

    def log(self) -> str:
        """What it has logged."""
        return self.places.log_file.read_text() if self.places.log_file.exists() else ""

    @property
    def running(self) -> bool:
        """Whether a daemon lives: ours, or one that a client has started in its place."""
        if self._process is not None and self._process.poll() is None:
            return True
        with suppress(OSError, ValueError):
            return bool(platform.start_time(self.pid))
        return False

    def repository(self, name: str = "repository") -> Path:
        """A small git repository with one commit."""
        folder = self.home / name
        if not folder.exists():
            folder.mkdir()
            (folder / "README.md").write_text("hello\n")
            identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
            for words in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "first"]):
                subprocess.run(["git", *words], cwd=folder, check=True, timeout=DEADLINE)
        return folder

    def spec(self, prompt: str = "say hello", **more: object) -> TaskSpec:
        """A task of the demo coding agent."""
        fields = {"coding_agent": "demo", "repository": str(self.repository()), "isolation": Isolation.NONE} | more
        return TaskSpec(prompt, **fields)  # type: ignore[arg-type]

    def _start(self) -> None:
        from rc_client.start import answers

        if self._process is not None:
            # One that died by itself.
            self._process.communicate(timeout=DEADLINE)
        self._process = self.spawn()
        deadline = time.monotonic() + DEADLINE
        # An old socket stays behind after a kill: it must be this one that answers.
        while not answers(self.places.grpc_socket):
            if self._process.poll() == -signal.SIGKILL:
                # Its failpoint was near.
                return
            # Zero: a client that found nobody has started one.
            assert not self._process.poll(), self._process.communicate()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def _end(self, number: int) -> tuple[int, str, str]:
        process = self._process
        assert process is not None
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE)
        self._process = None
        self.end_others(number, process.pid)
        return process.returncode, out, err

    def end_others(self, number: int = signal.SIGKILL, known: int = 0) -> None:
        """End a daemon that a client has started: whoever holds the lock is the daemon."""
        deadline = time.monotonic() + DEADLINE
        while (held := platform.lock(self.places.lock_file)) is None:
            assert time.monotonic() < deadline, self.log()
            other = self.places.lock_file.read_text().strip()
            if other.isdigit() and int(other) != known:
                platform.kill(int(other), number)
            time.sleep(0.01)
        os.close(held)

    async def clean(self) -> None:
        """End the daemon, every sandbox, and remove the home."""
        if self._process is not None:
            await asyncio.to_thread(self.kill)
        elif self.places.lock_file.exists():
            await asyncio.to_thread(self.end_others)
        provider = LocalProvider(self.places.sandboxes / "local")
        for info in await provider.list():
            await (await provider.attach(info.external_id)).destroy()
        await asyncio.to_thread(shutil.rmtree, self.home, ignore_errors=True)


@asynccontextmanager
async def daemon_home() -> AsyncIterator[DaemonProcess]:
    """A home with no daemon in it yet."""
    # Short: the path of a unix socket holds 108 bytes.
    daemon = DaemonProcess(Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp")))
    try:
        yield daemon
    finally:
        await daemon.clean()


async def destroy_sandbox(places: Paths, sandbox_id: str) -> None:
    """From outside, behind the daemon's back: its processes are killed and its files are gone."""
    layout = Layout(places.sandboxes / "local" / sandbox_id)
    record, supervisor = layout.record(), layout.supervisor()
    assert record is not None
    # At once: nobody shall find half of it.
    away = places.data / f"destroyed-{sandbox_id}"
    layout.directory.rename(away)
    if supervisor is not None:
        platform.kill(supervisor.pid)
        await asyncio.to_thread(platform.wait_gone, supervisor.pid, supervisor.started, DEADLINE)
    if record.isolation == Isolation.NONE:
        for pid in platform.with_environment(f"RC_SANDBOX={record.tag}"):
            platform.kill(pid)
    await asyncio.to_thread(shutil.rmtree, away)


async def wait_for(client: object, task: str, *states: str) -> Task:
    """The task, once it is in one of these states."""
    from rc_client import DaemonClient

    assert isinstance(client, DaemonClient)
    async with asyncio.timeout(DEADLINE):
        while (found := await client.get_task(task)).state not in states:
            await asyncio.sleep(0.02)
    return found
