"""Which colours and attributes are on after a row of SGR sequences (ECMA-48 8.3.117, and xterm's colours)."""

from __future__ import annotations

import functools

_ON = {1: "bold", 2: "dim", 3: "italic", 4: "under", 5: "blink", 6: "blink", 7: "inverse", 8: "hidden", 9: "strike"}
_ON |= {21: "under", 53: "over"}
_ON |= dict.fromkeys([*range(30, 38), *range(90, 98)], "fg") | dict.fromkeys([*range(40, 48), *range(100, 108)], "bg")
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("under",), 25: ("blink",), 27: ("inverse",), 28: ("hidden",)}
_OFF |= {29: ("strike",), 39: ("fg",), 49: ("bg",), 55: ("over",), 59: ("line",)}
_COLOURS = {38: "fg", 48: "bg", 58: "line"}
# How many words 38, 48 or 58 and what follows them are, by the kind of colour.
_LENGTHS = {"5": 3, "2": 5}
_NO_UNDERLINE = "4:0"


class Graphics:
    """One value per attribute, so the record never grows."""

    def __init__(self) -> None:
        self.on: dict[str, str] = {}

    def apply(self, parameters: bytes) -> None:
        """Take in the parameters of one SGR sequence."""
        for name, word in _effects(parameters):
            if word:
                self.on[name] = word
            elif name:
                self.on.pop(name, None)
            else:
                self.on.clear()

    def sequence(self) -> bytes:
        """What turns the same attributes on in a terminal that has none."""
        words = [self.on[name] for name in sorted(self.on)]
        return b"\x1b[" + ";".join(words).encode() + b"m" if words else b""


@functools.lru_cache(1024)
def _effects(parameters: bytes) -> tuple[tuple[str, str], ...]:
    """(attribute, its new value or empty for off) in order; an empty attribute means all of them."""
    words = parameters.decode("ascii", "replace").split(";")
    effects: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        head = words[at].partition(":")[0]
        number = int(head) if head.isdigit() else 0 if not head else -1
        if number in _COLOURS:
            length = _colour_length(words, at)
            if length != 1 or ":" in words[at]:
                effects.append((_COLOURS[number], ";".join(words[at : at + length])))
            at += length
            continue
        if number == 0:
            effects.append(("", ""))
        elif number in _ON and words[at] != _NO_UNDERLINE:
            effects.append((_ON[number], words[at]))
        else:
            effects += [(name, "") for name in _OFF.get(24 if words[at] == _NO_UNDERLINE else number, ())]
        at += 1
    return tuple(effects)


def _colour_length(words: list[str], at: int) -> int:
    if ":" in words[at] or at + 1 >= len(words):
        return 1
    return _LENGTHS.get(words[at + 1], 1)
