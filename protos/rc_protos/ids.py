"""Identifiers: ULIDs in lower case, which sort by the time they were made. Standard library only."""

from __future__ import annotations

import _thread
import os
import time

# Crockford's alphabet: no i, l, o, u.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
LENGTH = 26

_lock = _thread.allocate_lock()
_last = 0


def new_id() -> str:
    """A new id: 48 bits of milliseconds, 80 random bits; within one process later ids are greater."""
    global _last  # noqa: PLW0603 - the one generator of this process
    fresh = (time.time_ns() // 1_000_000 << 80) | int.from_bytes(os.urandom(10), "big")
    with _lock:
        _last = fresh if fresh > _last else _last + 1
        return encode(_last)


def encode(value: int) -> str:
    """26 characters for 128 bits."""
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
