"""Time that goes on over restarts of the daemon and does not follow the wall clock."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rc_daemon.store.store import Store
from rc_daemon.tasks import clock
from rc_protos import platform


async def test_it_goes_on_after_a_restart_whatever_the_wall_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await Store.open(f"sqlite:///{tmp_path}/registry.db")
    wall = time.time()
    first = await store.transact(clock.take_up)
    assert abs(first.now() - wall) < 60
    monkeypatch.setattr(time, "time", lambda: wall + 86400)
    second = await store.transact(clock.take_up)
    assert abs(second.now() - first.now()) < 60
    # Another boot: what it counted from is gone.
    monkeypatch.setattr(platform, "boot_id", lambda: "another")
    third = await store.transact(clock.take_up)
    assert 86000 < third.now() - first.now() < 86500
    await store.close()


def test_the_machine_tells_of_its_boot() -> None:
    before = platform.since_boot()
    assert platform.since_boot() >= before > 0
    assert platform.boot_id() == platform.boot_id()
