"""Waits between attempts."""

from __future__ import annotations

import pytest

from rc_daemon.tasks.backoff import FIRST, LONGEST, delay


@pytest.mark.parametrize("attempts", [0, 1, 2, 3, 7, 30, 10_000])
def test_it_doubles_up_to_a_cap_and_half_of_it_is_chance(attempts: int) -> None:
    full = min(LONGEST, FIRST * 2 ** max(0, min(attempts, 40) - 1))
    waits = [delay(attempts) for _ in range(200)]
    assert all(full / 2 <= wait <= full for wait in waits)
    assert len(set(waits)) > 100
