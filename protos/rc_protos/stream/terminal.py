"""What a terminal's modes are after some output, without being a terminal: only escapes are looked at. Sans-I/O.

Control sequences as in ECMA-48 and xterm's "XTerm Control Sequences" (Dickey), kitty's for its keyboard protocol.
"""

from __future__ import annotations

import re

from rc_protos.stream.graphics import Graphics

# Any whole escape: CSI to its final byte; OSC and other strings to their end; designations; two-byte escapes.
_ESCAPE = re.compile(
    rb"\x1b(?:"
    rb"\[[0-?]*[ -/]*[@-~]"
    rb"|\][^\x07\x18\x1a\x1b]*(?:\x07|\x1b\\|[\x18\x1a])"
    rb"|[PX^_][^\x18\x1a\x1b]*(?:\x1b\\|[\x18\x1a])"
    rb"|[ -/]+[0-~]"
    rb"|[0-OQ-WYZ\\`-~]"
    rb")"
)
# An escape that may change a mode; the others are passed over at the speed of C.
_MODE = re.compile(
    rb"\x1b(?:"
    rb"\[([<-?]?)([0-;]*)([ -/]?)([hlrqup])"
    rb"|\[(>)([0-;]*)()(m)"
    rb"|\][02];([^\x07\x18\x1a\x1b]{,4000})(?:\x07|\x1b\\)"
    rb"|([()])([0-~])"
    rb"|([c=>])"
    rb")"
)
# Most escapes are colours, and of those only the last ones count.
_COLOUR = re.compile(rb"\x1b\[([0-9;:]*)m")
_INCOMPLETE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x18\x1a\x1b]*\x1b?|[PX^_][^\x18\x1a\x1b]*\x1b?|[ -/]*)?\Z")
# A string that any ESC ends, its terminator's or another escape's; a shift inside it is none.
_STRING = re.compile(rb"\x1b(?:\][^\x07\x18\x1a\x1b]*|[PX^_][^\x18\x1a\x1b]*)")
_STRING_END = {True: re.compile(rb"[\x07\x18\x1a\x1b]"), False: re.compile(rb"[\x18\x1a\x1b]")}
# Of a longer string (an image, say) only the end is waited for; any other escape so long is none.
_LONGEST = 4096
# Private modes worth restoring: cursor keys, origin, wrap, cursor, mouse, focus, bracketed paste, alternate scroll.
_KEPT = frozenset({1, 6, 7, 12, 25, 66, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 2004})
_SET_AT_START = frozenset({7, 25, 1007})
_ALTERNATE = frozenset({47, 1047, 1049})
_INSERT = b"4"


class ModeTracker:
    """Feed it a session's output from a point where the terminal was new."""

    def __init__(self) -> None:
        # The private mode that switched to the alternate screen, 0 on the normal one.
        self.alternate = 0
        self.title = b""
        self.graphics = Graphics()
        self._modes: dict[int, bool] = {}
        self._insert = False
        self._keypad = False
        self._region = b""
        self._cursor_shape = b""
        self._charsets: dict[bytes, bytes] = {}
        self._shifted = False
        self._keyboard: list[bytes] = []
        self._other_keys = b""
        self._carry = b""
        # Inside a string too long to keep: whether a BEL ends it (OSC) or not.
        self._skipping: bool | None = None

    @property
    def ground(self) -> bool:
        """The output fed so far does not end inside an escape."""
        return not self._carry and self._skipping is None

    def feed(self, data: bytes) -> None:
        """Take in more output; plain text costs next to nothing."""
        data, self._carry = self._carry + data, b""
        begin = self._skipped(data)
        reset = begin
        if data.find(b"\x1b", begin) >= 0:
            reset = self._escapes(data, begin)
            self._keep(_open_escape(data, begin))
        self._shift(data, reset)

    def resized(self) -> None:
        """The terminal's size has changed, which ends its scroll region."""
        self._region = b""

    def preamble(self) -> bytes:
        """What puts a new terminal, or a new tracker, into these modes; it clears nothing and moves no cursor."""
        parts = [b"\x1b[?%dh" % self.alternate] if self.alternate else []
        # Setting the region moves the cursor home.
        parts += [b"\x1b7\x1b[" + self._region + b"r\x1b8"] if self._region else []
        for mode, on in sorted(self._modes.items()):
            if on != (mode in _SET_AT_START):
                parts.append(b"\x1b[?%d%c" % (mode, ord("h" if on else "l")))
        parts += [b"\x1b[4h"] if self._insert else []
        parts += [b"\x1b="] if self._keypad else []
        parts += [b"\x1b[" + self._cursor_shape + b" q"] if self._cursor_shape else []
        parts += [b"\x1b[>" + flags + b"u" for flags in self._keyboard]
        parts += [b"\x1b[>" + self._other_keys + b"m"] if self._other_keys else []
        parts += [b"\x1b]2;" + self.title + b"\x07"] if self.title else []
        parts += [b"\x1b" + slot + name for slot, name in sorted(self._charsets.items())]
        parts += [b"\x0e"] if self._shifted else []
        return b"".join([*parts, self.graphics.sequence()])

    def safe_boundary(self, tail: bytes) -> int:
        """How much of `tail`, which follows what was fed, to skip so that a replay begins well.

        Best at the beginning of a line, else at an escape, else between characters. What is skipped is fed, so that
        `preamble` fits the boundary.
        """
        skip = self._line_start(tail)
        self.feed(tail[:skip])
        return skip

    def _line_start(self, tail: bytes) -> int:
        begin = self._escape_end(tail)
        at, first_escape = begin, -1
        for match in _ESCAPE.finditer(tail, begin):
            line = tail.find(b"\n", at, match.start())
            if line >= 0:
                return line + 1
            first_escape = match.start() if first_escape < 0 else first_escape
            at = match.end()
        line = tail.find(b"\n", at, len(tail) - len(_open_escape(tail, at)))
        if line >= 0:
            return line + 1
        if first_escape >= 0:
            return first_escape
        while begin < len(tail) and tail[begin] & 0xC0 == 0x80:
            begin += 1
        return begin

    def _escape_end(self, tail: bytes) -> int:
        """Where in `tail` the escape ends that was begun before it."""
        if self._skipping is not None:
            return max(0, self._string_end(tail))
        end = _ESCAPE.match(self._carry + tail) if self._carry else None
        return max(0, end.end() - len(self._carry)) if end is not None else 0

    def _escapes(self, data: bytes, begin: int) -> int:
        """Take in every whole escape; return where the last reset ends, or `begin`."""
        for match in _MODE.finditer(data, begin):
            if match[12] == b"c" or match[3] == b"!":
                # A reset: the colours before it are gone, those after it come below.
                self.graphics, begin = Graphics(), match.end()
            self._escape(match)
        reset = begin
        for plain in (b"\x1b[0m", b"\x1b[m"):
            begin = max(begin, data.rfind(plain, begin))
        # Of equal ones the last is enough: what another has changed meanwhile, it changes back.
        for parameters in reversed(dict.fromkeys(reversed(_COLOUR.findall(data, begin)))):
            self.graphics.apply(parameters)
        return reset

    def _skipped(self, data: bytes) -> int:
        """Where ordinary output begins again after a string that is too long to keep."""
        if self._skipping is None:
            return 0
        end = self._string_end(data)
        if end < 0:
            return len(data)
        self._skipping = None
        return end

    def _string_end(self, data: bytes) -> int:
        """Where the string that is being skipped ends; -1: not in `data`."""
        end = _STRING_END[bool(self._skipping)].search(data)
        if end is None:
            return -1
        # An ESC may begin the terminator, which alone is harmless, or an escape that cuts the string short.
        return end.start() if end.group() == b"\x1b" else end.end()

    def _keep(self, rest: bytes) -> None:
        if len(rest) <= _LONGEST:
            self._carry = rest
        elif rest.endswith(b"\x1b"):
            self._carry = b"\x1b"
        elif rest[1:2] in (b"]", b"P", b"X", b"^", b"_"):
            self._skipping = rest[1:2] == b"]"

    def _shift(self, data: bytes, begin: int) -> None:
        """Take in SO and SI after the last reset; as a string is read anew with its end, those in it must not count."""
        if max(data.rfind(b"\x0e", begin), data.rfind(b"\x0f", begin)) < 0:
            return
        text = _STRING.sub(b"", data[begin:])
        out, back = text.rfind(b"\x0e"), text.rfind(b"\x0f")
        if out != back:
            self._shifted = out > back

    def _escape(self, match: re.Match[bytes]) -> None:
        title, slot, charset, single = match.groups()[8:]
        if title is not None:
            self.title = title
        elif slot is not None:
            self._charsets[slot] = charset
        elif single == b"c":
            self.__init__()  # type: ignore[misc]
        elif single is not None:
            self._keypad = single == b"="
        else:
            private, parameters, between, final = match.groups()[:4] if match[4] else match.groups()[4:8]
            self._control(private + between, parameters, final)

    def _control(self, kind: bytes, parameters: bytes, final: bytes) -> None:
        if final in b"hl" and kind == b"?":
            for word in parameters.split(b";"):
                self._private(int(word) if word.isdigit() else -1, final == b"h")
        elif final in b"hl" and not kind and parameters == _INSERT:
            self._insert = final == b"h"
        elif final == b"m":
            self._other_keys = parameters
        elif final == b"r" and not kind:
            self._region = parameters.strip(b";")
        elif final == b"q" and kind == b" ":
            self._cursor_shape = parameters
        elif final == b"u":
            self._keys(kind, parameters)
        elif final == b"p" and kind == b"!":
            self._soft_reset()

    def _private(self, mode: int, on: bool) -> None:
        if mode in _ALTERNATE:
            self.alternate = mode if on else 0
        elif mode in _KEPT:
            self._modes[mode] = on

    def _keys(self, private: bytes, flags: bytes) -> None:
        """Kitty's keyboard protocol: a stack of flags."""
        if private == b">":
            self._keyboard = [*self._keyboard[-15:], flags]
        elif private == b"<":
            count = int(flags) if flags.isdigit() else 1
            self._keyboard = self._keyboard[: max(0, len(self._keyboard) - count)]
        elif private == b"=" and flags.partition(b";")[2] in (b"", b"1"):
            self._keyboard = [*self._keyboard[:-1], flags.partition(b";")[0]]

    def _soft_reset(self) -> None:
        for mode in (1, 6, 66):
            self._modes.pop(mode, None)
        self._modes[7], self._modes[25] = True, True
        self._region, self._keypad, self._insert = b"", False, False
        self._charsets, self._shifted = {}, False


def _open_escape(data: bytes, begin: int) -> bytes:
    """The escape at the end that is not whole; only strings hold an ESC of their own, their end's."""
    at = data.rfind(b"\x1b", begin)
    if at == len(data) - 1 and (string := _INCOMPLETE.match(data, data.rfind(b"\x1b", begin, at))):
        return string.group()
    found = _INCOMPLETE.match(data, at) if at >= 0 else None
    return found.group() if found is not None else b""
