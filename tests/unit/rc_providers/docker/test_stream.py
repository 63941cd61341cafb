"""Docker's frames, however the bytes are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rc_providers.docker.stream import HEAD, Demultiplexer

FRAMES = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300)), max_size=20)


@given(FRAMES, st.lists(st.integers(1, 40), min_size=1))
def test_every_byte_arrives_once_and_where_it_belongs(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    wire = b"".join(HEAD.pack(kind, len(data)) + data for kind, data in frames)
    told: list[bytes] = []
    demultiplexer = Demultiplexer(told.append)
    came, at, number = b"", 0, 0
    while at < len(wire):
        size = cuts[number % len(cuts)]
        came += demultiplexer.feed(wire[at : at + size])
        at, number = at + size, number + 1
    assert came == b"".join(data for kind, data in frames if kind == 1)
    assert b"".join(told) == b"".join(data for kind, data in frames if kind == 2)
