"""kill -9 of the daemon, at named places and at any moment: nothing acknowledged is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from rc_protos.failpoints import FAILPOINTS
from support.daemon import DaemonProcess, daemon_home
from support.failpoints import armed
from support.life import live

# Not on the way of a task that goes well; the moments at which they are hit are made in test_task_life and test_move.
ELSEWHERE = {
    "task.FindSandbox.before",
    "task.FindSandbox.after",
    "task.StartSandbox.before",
    "task.StartSandbox.started",
    "task.StartSandbox.after",
    "task.LoseSandbox.before",
    "task.LoseSandbox.after",
    "task.QuietSandbox.before",
    "task.QuietSandbox.after",
    "task.SwitchSandbox.before",
    "task.SwitchSandbox.after",
    "task.AbandonMove.before",
    "task.AbandonMove.after",
    "task.RetireSandbox.before",
    "task.RetireSandbox.after",
    "task.EnsureLink.before",
    "task.EnsureLink.after",
    "task.WakeConversation.before",
    "task.WakeConversation.after",
    "task.again.before_commit",
    "task.again.after_commit",
    "mirror.ack.before",
    "mirror.ack.after",
    "work.apply.before",
    "work.apply.after",
    "work.fetch.after",
}
PLACES = sorted(name for name in FAILPOINTS if not name.startswith("agent.") and name not in ELSEWHERE)


@pytest.mark.needs("bwrap", "git")
@pytest.mark.parametrize("place", PLACES)
async def test_killed_at(place: str, home: DaemonProcess, hit_log: Path) -> None:
    """Every failpoint is hit, and what follows is right."""
    home.environment = armed(place, hit_log)
    home.start()
    life = await live(home)
    assert life.problems == []
    assert hit_log.read_text().split() == [place]
    assert life.kills == 1


@pytest.mark.needs("bwrap", "git")
@pytest.mark.timeout(3600 * 6)
async def test_killed_at_any_moment(rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random moments, several kills a life."""
    seed = time.time_ns()
    dice = random.Random(seed)
    kills = 0
    for number in range(rounds):
        moments = sorted(dice.uniform(0, 3.0) for _ in range(dice.randint(1, 3)))
        async with daemon_home() as daemon:
            monkeypatch.setenv("RC_HOME", str(daemon.home))
            try:
                kills += await _killed_life(daemon, moments)
            except BaseException as error:
                error.add_note(f"round {number}, seed {seed}, kills at {moments}; the log of the daemon:")
                error.add_note(daemon.log()[-8000:])
                raise
    print(f"{rounds} rounds, {kills} kills, seed {seed}: nothing lost, nothing twice")


async def _killed_life(daemon: DaemonProcess, moments: list[float]) -> int:
    """How often it died in a life that went well otherwise."""
    daemon.start()
    killer = asyncio.ensure_future(_kill_at(daemon, moments))
    try:
        life = await live(daemon)
    finally:
        killer.cancel()
        await asyncio.gather(killer, return_exceptions=True)
    assert life.problems == []
    return life.kills


async def _kill_at(daemon: DaemonProcess, moments: list[float]) -> None:
    began = time.monotonic()
    for moment in moments:
        await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
        if daemon.running:
            await asyncio.to_thread(daemon.kill)
