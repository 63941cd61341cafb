"""One line of JSON-RPC: read without trust, written compactly."""

from __future__ import annotations

import json
import re
from typing import Any

# No message of the protocol is nested like this; a deeper one would exhaust the stack of whoever walks it.
DEPTH = 64
# Half of a UTF-16 pair, escaped: it is no text, and no database or wire takes it.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(line: bytes) -> dict[str, Any] | None:
    """The message of a line, its strings valid Unicode; None for what is none."""
    try:
        message = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    if line.count(b"[") + line.count(b"{") > DEPTH and _deeper(message, DEPTH):
        return None
    whole: dict[str, Any] = _whole(message) if _SURROGATE.search(line) else message
    return whole


def write(message: dict[str, Any]) -> bytes:
    """A message as a line."""
    return json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n"


def _deeper(value: Any, left: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    if not left:
        return True
    return any(_deeper(item, left - 1) for item in (value.values() if isinstance(value, dict) else value))


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return value
