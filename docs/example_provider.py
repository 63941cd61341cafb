"""An example of a provider: a sandbox is a directory, and whatever runs in it carries the directory's name.

It isolates nothing. What it shows is all that a provider has to do: the rest of rc needs no more than this. To be
found, it is named by an entry point of its package:

    [project.entry-points."remote_claude.providers"]
    example = "example_provider:ExampleProvider"

`rc provider verify example` runs the contract against it; rc_providers/pytest_contract.py does so in tests.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from rc_protos import errors, platform
from rc_providers.base import ByteStream, Capability, Presence, Provider, Sandbox, SandboxInfo, SandboxSpec
from rc_providers.local.stream import SocketStream

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class ExampleProvider(Provider):
    """Plain processes in a directory each; nothing keeps them there."""

    name: ClassVar[str] = "example"
    # There is no wall: every path of the host is where it is.
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.BIND})

    async def create(self, spec: SandboxSpec) -> Sandbox:
        # The tag becomes a path: whatever could lead elsewhere is refused.
        if not TAG.fullmatch(spec.tag):
            raise errors.usage(f"the sandbox tag {spec.tag!r} is not made of letters, digits and _.-")
        sandbox = ExampleSandbox(self.root / spec.tag)
        sandbox.directory.mkdir(parents=True, exist_ok=True)
        # First, and whole or not at all: from then on it is found by its tag, whoever dies.
        if not sandbox.record.exists():
            new = sandbox.record.with_suffix(".new")
            new.write_text(json.dumps({"tag": spec.tag, "installation": spec.installation}))
            os.replace(new, sandbox.record)
        # The same tag is the same sandbox: what is there already is left as it is, what is missing is made.
        for name in ("workspace", "home", "state"):
            (sandbox.directory / name).mkdir(exist_ok=True)
        await sandbox.start()
        return sandbox

    async def attach(self, external_id: str) -> Sandbox:
        sandbox = ExampleSandbox(self.root / external_id)
        if not TAG.fullmatch(external_id) or not sandbox.record.exists():
            raise errors.not_found(f"there is no sandbox {external_id!r}")
        return sandbox

    async def list(self, installation: str = "") -> Sequence[SandboxInfo]:
        places = sorted(self.root.iterdir()) if self.root.is_dir() else []
        found = []
        for place in places:
            # One may be going while we look.
            with suppress(errors.RemoteClaudeError):
                found.append(await ExampleSandbox(place).info())
        return [info for info in found if installation in ("", info.installation)]


class ExampleSandbox(Sandbox):
    """Everything known of it is on the disk: rc's daemon may be killed and started again at any moment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.record = directory / "record.json"
        self._running = directory / "running"

    async def info(self) -> SandboxInfo:
        try:
            record = json.loads(self.record.read_text())
        except FileNotFoundError:
            raise errors.not_found(f"the sandbox {self.directory.name} is gone") from None
        return SandboxInfo(
            external_id=self.directory.name,
            tag=record["tag"],
            installation=record["installation"],
            presence=Presence.RUNNING if self._running.exists() else Presence.STOPPED,
            workspace=str(self.directory / "workspace"),
            home=str(self.directory / "home"),
            isolation="none",
            notices=("not isolated: the task can read and change everything you can",),
        )

    async def open(self, argv: Sequence[str]) -> ByteStream:
        self._must_be_here()
        if not self._running.exists():
            raise errors.unavailable(f"the sandbox {self.directory.name} does not run")
        ours, theirs = socket.socketpair()
        with theirs, (self.directory / "log").open("ab") as log:
            try:
                await asyncio.to_thread(self._spawn, argv, theirs, log.fileno())
            except OSError as error:
                ours.close()
                raise errors.not_found(f"cannot run {argv[0]} in the sandbox: {error.strerror}") from error
        return SocketStream(ours)

    async def start(self) -> None:
        self._must_be_here()
        self._running.touch()

    async def stop(self) -> None:
        self._must_be_here()
        self._running.unlink(missing_ok=True)
        await asyncio.to_thread(self._kill)

    async def destroy(self) -> None:
        await asyncio.to_thread(self._kill)
        # The record goes last: until then it is found, and destroyed, again.
        for name in ("running", "workspace", "home", "state", "log"):
            await asyncio.to_thread(_remove, self.directory / name)
        await asyncio.to_thread(_remove, self.directory)

    async def logs(self) -> str:
        log = self.directory / "log"
        return log.read_bytes()[-4000:].decode("utf-8", "replace") if log.exists() else ""

    def _must_be_here(self) -> None:
        if not self.record.exists():
            raise errors.not_found(f"the sandbox {self.directory.name} is gone")

    def _spawn(self, argv: Sequence[str], stream: socket.socket, log: int) -> None:
        # Nothing of the daemon's own environment: credentials are in there.
        environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.directory / "home"),
            "RC_STATE": str(self.directory / "state"),
            "RC_WORKSPACE": str(self.directory / "workspace"),
            "RC_EXAMPLE": str(self.directory),
        }
        process = subprocess.Popen(
            argv,
            stdin=stream,
            stdout=stream,
            stderr=log,
            env=environment,
            cwd=self.directory / "workspace",
            start_new_session=True,
        )
        # Somebody has to bury it.
        threading.Thread(target=process.wait, daemon=True).start()

    def _kill(self) -> None:
        while marked := [
            p for p in platform.with_environment(f"RC_EXAMPLE={self.directory}") if platform.start_time(p)
        ]:
            for pid in marked:
                platform.kill(pid)


def _remove(place: Path) -> None:
    """A file or a whole tree, also one whose directories nobody may enter."""
    for directory, names, _ in os.walk(place):
        for name in names:
            if not os.path.islink(os.path.join(directory, name)):
                os.chmod(os.path.join(directory, name), 0o700)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
