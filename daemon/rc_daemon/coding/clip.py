"""Keeps event payloads small: whole texts stay in the session's log, events hold what a person reads."""

from __future__ import annotations

from typing import Any

# Characters of one string, and of all strings of one payload.
STRING_LIMIT = 64 << 10
PAYLOAD_LIMIT = 256 << 10


def clip_text(text: str, limit: int = STRING_LIMIT) -> str:
    """The text, or its beginning and how much was left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… [{len(text) - limit} more characters are in the session's log]"


def clip(value: Any) -> Any:
    """A JSON value with its long strings cut, and with no more than a budget of them in all."""
    return _clip(value, [PAYLOAD_LIMIT])


def _clip(value: Any, budget: list[int]) -> Any:
    if isinstance(value, str):
        kept = clip_text(value, min(STRING_LIMIT, max(budget[0], 0)))
        budget[0] -= len(kept)
        return kept
    if isinstance(value, dict):
        return {_clip_key(key): _clip(item, budget) for key, item in value.items()}
    if isinstance(value, list):
        return [_clip(item, budget) for item in value]
    return value


def _clip_key(key: Any) -> str:
    return clip_text(str(key), 1024)
