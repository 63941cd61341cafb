from __future__ import annotations

import asyncio
import logging

import pytest

from rc_protos.background import Background


async def test_a_failure_is_logged_and_reported_by_name(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[str, BaseException]] = []
    error = ValueError("boom")

    async def fail() -> None:
        raise error

    async with Background("owner", lambda name, what: told.append((name, what))) as background:
        background.spawn(fail(), "job")
        while background.tasks:
            await asyncio.sleep(0)
    assert told == [("owner/job", error)]
    assert [record.getMessage() for record in caplog.records] == ["owner/job failed"]


async def test_closing_cancels_what_runs_and_waits_for_its_end(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    steps: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            steps.append("cleaned up")

    background = Background("owner", lambda name, _: told.append(name))
    task = background.spawn(work(), "job")
    await asyncio.sleep(0)
    await background.close()
    assert task.cancelled()
    assert steps == ["cleaned up"]
    assert told == []
    assert not caplog.records


async def test_a_closed_owner_starts_nothing() -> None:
    background = Background("owner")
    await background.close()
    started = asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="owner is closed, cannot start job"):
        background.spawn(started, "job")


async def test_one_that_does_not_end_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    free = asyncio.Event()

    async def stubborn() -> None:
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                continue

    background = Background("owner")
    task = background.spawn(stubborn(), "job")
    await asyncio.sleep(0)
    with caplog.at_level(logging.ERROR):
        await background.close(timeout=0.05)
    assert "owner/job did not end" in caplog.text
    free.set()
    await task


async def test_an_owner_can_be_closed_by_one_of_its_own_tasks() -> None:
    background = Background("owner")
    other = background.spawn(asyncio.Event().wait(), "other")
    await asyncio.wait_for(background.spawn(background.close(), "closer"), 30)
    assert other.cancelled()
