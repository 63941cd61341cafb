"""kill -9 of the daemon, at named places and at any moment: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from rc_protos.failpoints import FAILPOINTS
from support.daemon import DaemonProcess, daemon_home
from support.life import live

# Not on the way of a task that goes well; the moments at which they are hit are made in test_task_life.
ELSEWHERE = {
    "task.FindSandbox.before",
    "task.FindSandbox.after",
    "task.StartSandbox.before",
    "task.StartSandbox.after",
    "task.LoseSandbox.before",
    "task.LoseSandbox.after",
    "task.EnsureLink.before",
    "task.EnsureLink.after",
}
PLACES = sorted(name for name in FAILPOINTS if not name.startswith("agent.") and name not in ELSEWHERE)


@pytest.mark.needs("bwrap", "git")
@pytest.mark.parametrize("place", PLACES)
async def test_killed_at(place: str, home: DaemonProcess, tmp_path: Path) -> None:
    """Every failpoint is hit, and what follows is right."""
    log = tmp_path / "hit"
    home.environment = {"RC_FAILPOINT": place, "RC_FAILPOINT_LOG": str(log)}
    home.start()
    life = await live(home)
    assert life.problems == []
    assert log.read_text().split() == [place]
    assert life.kills == 1


@pytest.mark.needs("bwrap", "git")
@pytest.mark.timeout(3600 * 6)
async def test_killed_at_any_moment(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random moments, several kills a life."""
    seed = time.time_ns()
    dice = random.Random(seed)
    kills = 0
    for number in range(rounds):
        async with daemon_home() as daemon:
            monkeypatch.setenv("RC_HOME", str(daemon.home))
            daemon.start()
            moments = sorted(dice.uniform(0, 3.0) for _ in range(dice.randint(1, 3)))
            killer = asyncio.ensure_future(_kill_at(daemon, moments))
            life = await live(daemon)
            killer.cancel()
            await asyncio.gather(killer, return_exceptions=True)
            kills += life.kills
            assert life.problems == [], f"round {number}, seed {seed}, kills at {moments}"
    print(f"{rounds} rounds, {kills} kills, seed {seed}: nothing lost, nothing twice")


async def _kill_at(daemon: DaemonProcess, moments: list[float]) -> None:
    began = time.monotonic()
    for moment in moments:
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        if daemon.running:
            await asyncio.to_thread(daemon.kill)
