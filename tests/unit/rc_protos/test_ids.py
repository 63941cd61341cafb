from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from rc_protos import ids

values = st.integers(0, (1 << 128) - 1)


@given(values, values)
def test_text_sorts_as_the_number_does(one: int, other: int) -> None:
    assert (ids.encode(one) < ids.encode(other)) == (one < other)
    assert len(ids.encode(one)) == ids.LENGTH


def test_ids_of_several_threads_are_all_different_and_each_threads_own_rise() -> None:
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: [ids.new_id() for _ in range(2000)], range(4)))
    assert all(row == sorted(row) for row in rows)
    assert len({each for row in rows for each in row}) == 8000


def test_an_id_begins_with_the_time_it_was_made() -> None:
    before, made, after = time.time_ns(), ids.new_id(), time.time_ns()
    begin, end = (ids.encode(moment // 1_000_000 << 80)[:10] for moment in (before, after))
    assert begin <= made[:10] <= end
