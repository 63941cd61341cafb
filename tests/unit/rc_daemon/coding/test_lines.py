from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rc_daemon.coding.lines import LineCutter

LIMIT = 8


@given(
    st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8),
    st.binary(max_size=5),
    st.data(),
)
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], rest: bytes, data: st.DataObject) -> None:
    rest = rest.replace(b"\n", b"")
    output = b"".join(line + b"\n" for line in lines) + rest
    cutter = LineCutter(100, LIMIT)
    found: list[bytes | None] = []
    at = 0
    while at < len(output):
        size = data.draw(st.integers(1, len(output) - at))
        found += cutter.feed(output[at : at + size])
        at += size
        assert cutter.received == 100 + at
    assert found == [line if len(line) <= LIMIT else None for line in lines]
    assert cutter.offset == 100 + len(output) - len(rest)
