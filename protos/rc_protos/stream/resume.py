"""Exactly once over connections that break: what each side keeps in mind about numbered bytes. Sans-I/O."""

from __future__ import annotations


class Gap(Exception):
    """Bytes are missing between what was had and what came."""

    def __init__(self, wanted: int, got: int) -> None:
        super().__init__(f"bytes {wanted} to {got} are missing")
        self.wanted = wanted
        self.got = got


class OutputCursor:
    """The receiving side: the next offset wanted, so that every byte is taken once."""

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    def take(self, offset: int, data: bytes) -> bytes:
        """The part of `data` that is new; raises Gap if bytes before it never came."""
        if offset > self.offset:
            raise Gap(self.offset, offset)
        new = data[self.offset - offset :]
        self.offset += len(new)
        return new


class InputBuffer:
    """The sending side: one writer's numbered input until the other side has written it to the process."""

    def __init__(self, writer_id: str, start: int = 0) -> None:
        self.writer_id = writer_id
        self.watermark = start
        self._data = bytearray()

    @property
    def next(self) -> int:
        """The number the next appended byte gets."""
        return self.watermark + len(self._data)

    @property
    def unacked(self) -> int:
        """How many bytes wait to be acknowledged."""
        return len(self._data)

    def append(self, data: bytes) -> int:
        """Keep `data` until it is acknowledged; return the number of its first byte."""
        first = self.next
        self._data += data
        return first

    def pending(self, from_byte: int | None = None, limit: int | None = None) -> tuple[int, bytes]:
        """(number of the first byte, bytes) not acknowledged, from `from_byte` or else the watermark on."""
        start = self.watermark if from_byte is None else max(from_byte, self.watermark)
        begin = start - self.watermark
        end = len(self._data) if limit is None else begin + limit
        return start, bytes(self._data[begin:end])

    def ack(self, watermark: int) -> None:
        """Forget what is before `watermark`; an older watermark changes nothing, one never sent raises Gap."""
        if watermark > self.next:
            raise Gap(self.next, watermark)
        if watermark > self.watermark:
            del self._data[: watermark - self.watermark]
            self.watermark = watermark
