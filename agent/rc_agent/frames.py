"""What agent and holder say to each other: a 4-byte length, then a bencoded dictionary. Light imports only."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_FRAME = 4 << 20


class BadFrame(Exception):
    """The bytes are not a frame."""


def pack(message: dict[str, Any]) -> bytes:
    """A message as bytes; values are int, bytes, str, lists and dictionaries of these."""
    parts: list[bytes] = []
    _encode(message, parts)
    body = b"".join(parts)
    return len(body).to_bytes(4, "big") + body


class Frames:
    """Cuts a byte stream into messages; text comes back as bytes, keys as str."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that are now whole; raises BadFrame."""
        self._data += data
        messages = []
        while len(self._data) >= 4:
            length = int.from_bytes(self._data[:4], "big")
            if length > MAX_FRAME:
                raise BadFrame(f"a frame of {length} bytes")
            if len(self._data) < 4 + length:
                break
            messages.append(unpack(bytes(self._data[4 : 4 + length])))
            del self._data[: 4 + length]
        return messages


def unpack(body: bytes) -> dict[str, Any]:
    """The message in a frame's body; raises BadFrame."""
    try:
        value, end = _decode(body, 0)
    except (ValueError, IndexError) as error:
        raise BadFrame(str(error)) from None
    if end != len(body) or not isinstance(value, dict):
        raise BadFrame("not one dictionary")
    return value


def _encode(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if isinstance(value, (bytes, bytearray, memoryview)):
        parts.append(b"%d:" % len(value))
        parts.append(bytes(value))
    elif isinstance(value, int):
        parts.append(b"i%de" % value)
    elif isinstance(value, dict):
        parts.append(b"d")
        for key, item in value.items():
            _encode(key, parts)
            _encode(item, parts)
        parts.append(b"e")
    else:
        parts.append(b"l")
        for item in value:
            _encode(item, parts)
        parts.append(b"e")


def _decode(data: bytes, at: int) -> tuple[Any, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        return _decode_list(data, at + 1)
    if kind == b"d":
        items, end = _decode_list(data, at + 1)
        keys = [key.decode("utf-8", "surrogateescape") for key in items[::2]]
        return dict(zip(keys, items[1::2], strict=True)), end
    colon = data.index(b":", at)
    start = colon + 1
    end = start + int(data[at:colon])
    if end > len(data):
        raise ValueError("cut short")
    return data[start:end], end


def _decode_list(data: bytes, at: int) -> tuple[list[Any], int]:
    items = []
    while data[at : at + 1] != b"e":
        item, at = _decode(data, at)
        items.append(item)
    return items, at + 1
