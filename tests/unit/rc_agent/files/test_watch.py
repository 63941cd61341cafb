from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rc_protos.v1 import file_pb2 as pb
from support.agent import AgentProcess, Client

DEADLINE = 60


class Watcher:
    """What a watcher has been told."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.told: dict[bytes, bool] = {}

    async def until(self, removed: bool, *paths: bytes) -> None:
        """Read on until each of these was told of."""
        async with asyncio.timeout(DEADLINE):
            while any(self.told.get(path) is not removed for path in paths):
                answer = await self._stream.recv_message()
                assert answer is not None
                assert not answer.missed
                self.told.update((each.path, each.removed) for each in answer.changes)


@asynccontextmanager
async def watching(client: Client, path: bytes = b"", *, poll: bool = False) -> AsyncIterator[Watcher]:
    async with client.files.WatchFiles.open() as stream:
        await stream.send_message(pb.WatchFilesRequest(path=path, poll=poll), end=True)
        async with asyncio.timeout(DEADLINE):
            first = await stream.recv_message()
        assert first is not None
        assert not first.changes
        yield Watcher(stream)
        await stream.cancel()


def touch(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


@pytest.mark.parametrize("poll", [False, True])
async def test_changes_are_told(client: Client, agent: AgentProcess, poll: bool) -> None:
    there = agent.workspace / "d"
    touch(there, ["old", "sub/old"])
    async with watching(client, b"d", poll=poll) as watcher:
        touch(there, ["new", "sub/new", "made/deep/er/new"])
        open(os.fsencode(there) + b"/caf\xe9", "x").close()
        await watcher.until(False, b"d/new", b"d/sub/new", b"d/made", b"d/made/deep/er/new", b"d/caf\xe9")
        assert not {b"d/old", b"d/sub/old"} & watcher.told.keys()
        (there / "old").chmod(0o600)
        await watcher.until(False, b"d/old")
        (there / "made").rename(there / "moved")
        await watcher.until(True, b"d/made")
        await watcher.until(False, b"d/moved", b"d/moved/deep/er/new")
        touch(there, ["moved/deep/er/new", "moved/deep/last"])
        await watcher.until(False, b"d/moved/deep/last")
        shutil.rmtree(there / "moved")
        await watcher.until(True, b"d/moved/deep/last", b"d/moved")


@pytest.mark.needs("git")
@pytest.mark.parametrize("poll", [False, True])
async def test_what_git_ignores_is_not_told(client: Client, agent: AgentProcess, poll: bool) -> None:
    subprocess.run(["git", "init", "-q"], cwd=agent.workspace, check=True, timeout=DEADLINE)
    touch(agent.workspace, [".gitignore", "build/old", "src/.gitignore"])
    (agent.workspace / ".gitignore").write_text("build/\n*.log\n")
    (agent.workspace / "src/.gitignore").write_text("!keep.log\n/only-here\n")
    async with watching(client, poll=poll) as watcher:
        touch(agent.workspace, ["build/x", "a.log", "src/a.log", "src/only-here", ".git/x", ".rc-temporary"])
        touch(agent.workspace, ["node/build/x", "src/keep.log", "only-here", ":(top)x"])
        await watcher.until(False, b"node", b"src/keep.log", b"only-here", b":(top)x")
        (agent.workspace / ".gitignore").write_text("*.log\n")
        await watcher.until(False, b".gitignore")
        touch(agent.workspace, ["build/again"])
        await watcher.until(False, b"build/again")
    told = watcher.told.keys() - {b"build", b"build/x", b"build/old", b"node/build", b"node/build/x"}
    assert told == {b"node", b"src/keep.log", b"only-here", b":(top)x", b".gitignore", b"build/again"}


@pytest.mark.parametrize("poll", [False, True])
async def test_a_watch_ends_with_its_folder(client: Client, agent: AgentProcess, poll: bool) -> None:
    (agent.workspace / "d").mkdir()
    async with client.files.WatchFiles.open() as stream, asyncio.timeout(DEADLINE):
        await stream.send_message(pb.WatchFilesRequest(path=b"d", poll=poll), end=True)
        assert await stream.recv_message() is not None
        (agent.workspace / "d").rmdir()
        while await stream.recv_message() is not None:
            pass


async def test_a_watcher_who_has_gone_is_forgotten(client: Client, agent: AgentProcess) -> None:
    def queues() -> int:
        folder = f"/proc/{agent.pid}/fd"
        return sum(
            os.path.lexists(f"{folder}/{fd}") and "inotify" in os.readlink(f"{folder}/{fd}")
            for fd in os.listdir(folder)
        )

    async with watching(client):
        assert queues() == 1
    async with asyncio.timeout(DEADLINE):
        while queues():
            await asyncio.sleep(0.02)
