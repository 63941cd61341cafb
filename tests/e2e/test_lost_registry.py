"""The registry is lost or damaged: it is said, and the work of its tasks is still there."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import DaemonProcess
from support.person import Person

pytestmark = pytest.mark.needs("bwrap", "git")


@pytest.fixture
def me() -> Iterator[Person]:
    """One task with work, and the daemon stopped."""
    daemon = DaemonProcess(Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp")))
    daemon.start()
    person = Person(daemon, daemon.repository())
    person.task("t", "write new.txt hello")
    daemon.stop()
    yield person
    asyncio.run(daemon.clean())


def work(me: Person) -> str:
    """What the safe copy of the only task holds."""
    (place,) = me.daemon.places.tasks.iterdir()
    return me.git("-C", str(place / "work.git"), "show", "refs/rc/save:new.txt")


def test_a_damaged_one_is_refused_with_the_way_on(me: Person) -> None:
    me.daemon.places.registry.write_bytes(b"garbage" * 10_000)
    done = me.rc("ls")
    assert done.code == 11
    assert "is damaged" in done.err
    assert f"its tasks' work stays in {me.daemon.places.tasks}" in done.err
    assert "Traceback" not in done.err + me.daemon.log()


@pytest.mark.parametrize("how", ["gone", "empty"])
def test_gc_leaves_the_work_of_a_lost_one(me: Person, how: str) -> None:
    me.daemon.places.registry.unlink()
    if how == "empty":
        me.daemon.places.registry.touch()
    me.daemon.start()
    assert me.rc("gc").code == 0
    assert work(me) == "hello"
