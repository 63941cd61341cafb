"""Keeps event payloads small: whole texts stay in the session's log, events hold what a person reads."""

from __future__ import annotations

import math
from typing import Any

# Characters of one string, and of a whole payload, in which every value counts as some.
STRING_LIMIT = 64 << 10
PAYLOAD_LIMIT = 256 << 10
_VALUE = 8
# Names, ids and titles.
SHORT = 500
COUNT_MOST = 1 << 53


def clip_text(text: str, limit: int = STRING_LIMIT) -> str:
    """The text, or its beginning and how much was left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… [{len(text) - limit} more characters are in the session's log]"


def short(text: str) -> str:
    """A name or title of a bearable length."""
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"


def count(number: int) -> int:
    """A count that every database, wire and JSON reader takes, whatever was claimed."""
    return max(0, min(number, COUNT_MOST))


def clip(value: Any) -> Any:
    """A JSON value with its long strings cut, and with no more than a budget of everything in all."""
    return _clip(value, [PAYLOAD_LIMIT])


def _clip(value: Any, budget: list[int]) -> Any:
    budget[0] -= _VALUE
    if isinstance(value, str):
        kept = clip_text(value, min(STRING_LIMIT, max(budget[0], 0)))
        budget[0] -= len(kept)
        return kept
    if isinstance(value, dict):
        return _clip_dict(value, budget)
    if isinstance(value, list):
        return _clip_list(value, budget)
    if isinstance(value, int) and value.bit_length() > 63:
        return _clip(str(value), budget)
    # JSON has no words for what is not finite.
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clip_dict(value: dict[Any, Any], budget: list[int]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for number, (key, item) in enumerate(value.items()):
        if budget[0] <= 0:
            kept["…"] = f"{len(value) - number} more"
            break
        name = short(str(key))
        budget[0] -= len(name)
        kept[name] = _clip(item, budget)
    return kept


def _clip_list(value: list[Any], budget: list[int]) -> list[Any]:
    kept: list[Any] = []
    for number, item in enumerate(value):
        if budget[0] <= 0:
            kept.append(f"… {len(value) - number} more")
            break
        kept.append(_clip(item, budget))
    return kept
