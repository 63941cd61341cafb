from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rc_daemon.coding.clip import PAYLOAD_LIMIT, SHORT, STRING_LIMIT, clip, clip_text, count, short
from rc_daemon.store.codec import encode


def test_long_text_says_how_much_is_missing() -> None:
    assert clip_text("x" * STRING_LIMIT) == "x" * STRING_LIMIT
    assert clip_text("x" * 10, 4) == "xxxx… [6 more characters are in the session's log]"
    assert len(short("x" * 9999)) == SHORT


def test_a_payload_of_many_small_things_is_bounded_too() -> None:
    for value in ([0] * 10**6, {str(n): None for n in range(10**6)}, [[[]] * 1000] * 1000, ["x" * 1000] * 10**4):
        assert len(encode(clip(value))) < 4 * PAYLOAD_LIMIT
    assert clip([1] * 10**6)[-1].endswith("more")


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_what_is_small_stays_as_far_as_json_has_words_for_it(value: Any) -> None:
    clipped = clip(value)
    assert clip(clipped) == clipped
    plain = encode(value)
    if not any(word in plain for word in ("NaN", "Infinity")) and max(map(len, plain.split(",")), default=0) < 15:
        assert clipped == json.loads(plain)


def test_counts() -> None:
    assert [count(number) for number in (-5, 7, 10**30)] == [0, 7, 1 << 53]
