from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_protos.stream.graphics import Graphics

WORDS = ["", "0", "1", "2", "4", "4:0", "4:3", "7", "22", "24", "27", "31", "39", "48", "5", "99", "38:2::1:2:3", "59"]
parameters = st.lists(st.sampled_from(WORDS) | st.integers(0, 120).map(str), max_size=6).map(
    lambda w: ";".join(w).encode()
)


def after(*sequences: bytes) -> bytes:
    graphics = Graphics()
    for sequence in sequences:
        graphics.apply(sequence)
    return graphics.sequence()


@given(st.lists(parameters, max_size=8))
def test_what_it_says_makes_the_same_again(sequences: list[bytes]) -> None:
    said = after(*sequences)
    assert after(said[2:-1]) == said if said else True
    assert after(*sequences, b"0") == after(*sequences, b"") == b""


@pytest.mark.parametrize(
    ("sequences", "on"),
    [
        ([b"38;5;4"], b"\x1b[38;5;4m"),  # a colour's number is no attribute
        ([b"38;2;1;4;7;9"], b"\x1b[38;2;1;4;7;9m"),
        ([b"1", b"38"], b"\x1b[1m"),
        ([b"38:5:4;1"], b"\x1b[1;38:5:4m"),
        ([b"31", b"91"], b"\x1b[91m"),
        ([b"1;2", b"22"], b""),
        ([b"4:3", b"4:0"], b""),
        ([b"1;0;3"], b"\x1b[3m"),
        ([b"1;;3"], b"\x1b[3m"),
        ([b"58;5;1", b"59"], b""),
        ([b"77;1"], b"\x1b[1m"),
    ],
)
def test_what_is_on(sequences: list[bytes], on: bytes) -> None:
    assert after(*sequences) == on
