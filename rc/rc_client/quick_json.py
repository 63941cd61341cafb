"""JSON with nothing imported: the C half of the standard library's json package, without 8 ms for the other half."""

from __future__ import annotations

try:
    import _json
except ImportError:
    _json = None  # type: ignore[assignment]

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class _Context:
    """What the scanner asks for."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def decode(text: str | bytes) -> Any:
    """A JSON document; raises ValueError."""
    text = (text.decode() if isinstance(text, bytes) else text).strip()
    if _json is None:
        import json

        return json.loads(text)
    try:
        found, end = _json.make_scanner(_Context)(text, 0)  # type: ignore[arg-type]
    except StopIteration:
        raise ValueError("this is no JSON") from None
    if end != len(text):
        raise ValueError("something follows the JSON")
    return found


def encode(document: Mapping[str, Any]) -> bytes:
    """Objects, lists, strings, whole numbers, truth values."""
    if _json is None:
        import json

        return json.dumps(document).encode()
    return _text(document).encode()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(_json.encode_basestring_ascii(value))
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{_text(name)}:{_text(each)}' for name, each in value.items())}}}"
    return str(value).lower()
