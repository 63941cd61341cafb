"""How long to wait before the next attempt."""

from __future__ import annotations

import random

FIRST = 0.5
LONGEST = 30.0


def delay(attempts: int, *, first: float = FIRST, longest: float = LONGEST) -> float:
    """Seconds before attempt number `attempts` + 1: doubling, capped, with half of it left to chance."""
    full = min(longest, first * 2.0 ** max(0, min(attempts, 30) - 1))
    return full / 2 + random.random() * full / 2  # noqa: S311 - jitter, not a secret
