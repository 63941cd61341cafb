from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from rc_protos.stream.resume import Gap, InputBuffer, OutputCursor


class Typing(RuleBasedStateMachine):
    """A keyboard, a process, and between them a connection that loses what is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.typed = bytearray()
        self.process = bytearray()
        self.buffer = InputBuffer("w", start=7)
        self.cursor = OutputCursor(7)
        self.sent = 7
        self.there: list[tuple[int, bytes]] = []
        self.back: list[int] = []

    @rule(data=st.binary(max_size=9))
    def type(self, data: bytes) -> None:
        assert self.buffer.append(data) == 7 + len(self.typed)
        self.typed += data

    @rule(limit=st.integers(0, 6))
    def send(self, limit: int) -> None:
        first, data = self.buffer.pending(self.sent, limit)
        self.there.append((first, data))
        self.sent = first + len(data)

    @rule()
    def arrive(self) -> None:
        if self.there:
            self.process += self.cursor.take(*self.there.pop(0))
            self.back.append(self.cursor.offset)

    @rule()
    def acknowledge(self) -> None:
        if self.back:
            self.buffer.ack(self.back.pop(0))

    @rule(arrived=st.integers(0, 3))
    def cut(self, arrived: int) -> None:
        for _ in range(arrived):
            self.arrive()
        # The next connection sends everything again that was not acknowledged.
        self.there, self.back, self.sent = [], [], self.buffer.watermark

    def teardown(self) -> None:
        self.cut(0)
        while self.buffer.unacked:
            self.send(5)
            self.arrive()
            self.acknowledge()
        assert self.process == self.typed


TestTyping = Typing.TestCase
TestTyping.settings = settings(max_examples=200, stateful_step_count=40)


@given(st.binary(max_size=60), st.data())
def test_output_that_comes_again_is_taken_once(output: bytes, data: st.DataObject) -> None:
    cursor, taken = OutputCursor(), b""
    while cursor.offset < len(output):
        begin = data.draw(st.integers(0, cursor.offset))
        end = data.draw(st.integers(begin, len(output)))
        if end <= cursor.offset:
            assert cursor.take(begin, output[begin:end]) == b""
            end = cursor.offset + 1
        taken += cursor.take(begin, output[begin:end])
    assert taken == output


def test_a_hole_is_refused_and_changes_nothing() -> None:
    cursor = OutputCursor(5)
    with pytest.raises(Gap, match="bytes 5 to 6 are missing"):
        cursor.take(6, b"x")
    assert cursor.take(4, b"abc") == b"bc"


def test_an_acknowledgement_of_what_was_never_sent_is_refused() -> None:
    buffer = InputBuffer("w")
    buffer.append(b"abc")
    with pytest.raises(Gap):
        buffer.ack(4)
    buffer.ack(2)
    buffer.ack(1)
    assert buffer.pending() == (2, b"c")
