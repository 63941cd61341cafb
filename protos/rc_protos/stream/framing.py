"""Bytes over a stream that is not 8-bit clean: frames of plain ASCII with length and checksum. Sans-I/O, light imports.

A frame is `<` kind length `:` base64 `:` checksum `>` and a newline: `D` carries data, `E` ends this direction. The
length counts the payload's bytes; the checksum is the CRC-32 of every payload so far, so that a frame that is lost,
doubled or out of order does not pass. What stands between frames (a terminal's line ends, a notice of the transport)
is skipped.
"""

from __future__ import annotations

import binascii

DATA, END = b"D", b"E"
# Payload of one frame: with its base64 still well below what terminals and web sockets take at once.
MOST = 12_288
_LONGEST = MOST * 4 // 3 + 64


class Damaged(Exception):
    """The stream lost, changed or repeated bytes; what follows cannot be trusted."""


class Encoder:
    """One direction's sending side."""

    def __init__(self) -> None:
        self._sum = 0

    def data(self, data: bytes) -> bytes:
        """`data` as frames."""
        return b"".join(self._frame(DATA, data[at : at + MOST]) for at in range(0, len(data), MOST))

    def end(self) -> bytes:
        """The frame that ends this direction, as half-closing would."""
        return self._frame(END, b"")

    def _frame(self, kind: bytes, payload: bytes) -> bytes:
        self._sum = binascii.crc32(kind + payload, self._sum)
        text = binascii.b2a_base64(payload, newline=False)
        return b"<%s%d:%s:%08x>\n" % (kind, len(payload), text, self._sum)


class Decoder:
    """One direction's receiving side."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sum = 0
        self.ended = False

    def feed(self, received: bytes) -> bytes:
        """The data that is now whole; `ended` once the other side has ended; raises Damaged."""
        self._buffer += received
        whole = []
        while not self.ended:
            begin = self._buffer.find(b"<")
            if begin < 0:
                self._buffer.clear()
                break
            end = self._buffer.find(b">", begin)
            if end < 0:
                del self._buffer[:begin]
                if len(self._buffer) > _LONGEST:
                    raise Damaged(f"a frame is longer than {_LONGEST} bytes")
                break
            whole.append(self._payload(bytes(self._buffer[begin + 1 : end])))
            del self._buffer[: end + 1]
        return b"".join(whole)

    def _payload(self, frame: bytes) -> bytes:
        # A terminal may break lines; white space is never part of a frame.
        kind, parts = frame[:1], b"".join(frame[1:].split()).split(b":")
        try:
            length, text, checksum = parts
            payload = binascii.a2b_base64(text, strict_mode=True) if text else b""
            right = len(payload) == int(length) and kind in (DATA, END)
            self._sum = binascii.crc32(kind + payload, self._sum)
            right = right and int(checksum, 16) == self._sum
        except ValueError as error:
            raise Damaged(f"a frame cannot be read: {error}") from None
        if not right:
            raise Damaged("a frame is damaged, lost or repeated")
        self.ended = kind == END
        return payload
