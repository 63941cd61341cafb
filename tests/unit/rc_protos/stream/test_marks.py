from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from rc_protos.stream.marks import MARKS_FILE, Mark, append_mark, read_marks

marks = st.builds(
    Mark,
    st.integers(0, 1 << 62),
    st.sampled_from(["resize", "expired", "blocked", "unblocked"]),
    columns=st.integers(0, 500),
    rows=st.integers(0, 500),
    text=st.text(max_size=8),
    time=st.floats(0, 4e9),
)
# What a crash or a full disk may have left of a line.
torn = st.sampled_from([b'{"out_offset": 1', b"{", b'{"out_offset": "x", "kind": 1}\n', b"null\n", b"[]\n", b"\xff"])


@given(st.lists(marks | torn, max_size=12), st.data())
@settings(max_examples=60)
def test_every_mark_is_read_once_whatever_a_crash_left(script: list[Mark | bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as directory:
        found: list[Mark] = []
        position = 0
        for step in script:
            if isinstance(step, Mark):
                append_mark(directory, step)
            else:
                with (Path(directory) / MARKS_FILE).open("ab") as file:
                    file.write(step)
            if data.draw(st.booleans()):
                more, position = read_marks(directory, position)
                found += more
        more, _ = read_marks(directory, position)
        assert found + more == [step for step in script if isinstance(step, Mark)]
