from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_protos.stream.framing import MOST, Damaged, Decoder, Encoder

payloads = st.lists(st.binary(max_size=200), max_size=8)
noise = st.binary(max_size=20).map(lambda data: data.replace(b"<", b"").replace(b">", b""))


@given(payloads, st.data())
def test_what_went_in_comes_out_however_it_is_cut_and_whatever_stands_between(
    parts: list[bytes], data: st.DataObject
) -> None:
    encoder, decoder = Encoder(), Decoder()
    wire = b"".join(data.draw(noise) + encoder.data(part) for part in parts) + encoder.end()
    got, at = b"", 0
    while at < len(wire):
        size = data.draw(st.integers(1, 64))
        got += decoder.feed(wire[at : at + size])
        at += size
    assert got == b"".join(parts)
    assert decoder.ended


@given(st.binary(min_size=1, max_size=3 * MOST))
def test_it_is_plain_ascii_that_no_terminal_acts_on(data: bytes) -> None:
    wire = Encoder().data(data)
    assert set(wire) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=<>:\n")
    assert Decoder().feed(wire.replace(b"\n", b"\r\n")) == data


def frames() -> list[bytes]:
    """Three frames of different content."""
    encoder = Encoder()
    return [encoder.data(b"one"), encoder.data(b"two"), encoder.data(b"three")]


@pytest.mark.parametrize(
    "change",
    [
        lambda one, two, three: two + three,
        lambda one, two, three: one + one + two,
        lambda one, two, three: two + one + three,
        lambda one, two, three: one + two.replace(b"D3", b"D4"),
        lambda one, two, three: one + two.replace(b"D3", b"E3"),
        lambda one, two, three: one + two[:6] + "\N{REPLACEMENT CHARACTER}".encode() + two[7:],
        lambda one, two, three: one + two[:-4] + three,
        lambda one, two, three: one + b"<nonsense>",
        lambda one, two, three: one + b"<" + b"A" * 100_000,
    ],
    ids=["lost", "doubled", "out of order", "length", "kind", "changed", "cut", "nonsense", "endless"],
)
def test_damage_is_noticed(change: object) -> None:
    assert callable(change)
    with pytest.raises(Damaged):
        Decoder().feed(change(*frames()))


def test_nothing_counts_after_the_end() -> None:
    encoder, decoder = Encoder(), Decoder()
    assert decoder.feed(encoder.end() + encoder.data(b"more")) == b""
