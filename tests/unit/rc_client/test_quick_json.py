from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_client.quick_json import decode, encode

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(DOCUMENTS, st.booleans(), st.sampled_from([None, 2]))
def test_reads_what_the_json_package_writes(document: object, ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent)
    assert decode(text) == decode(f" {text}\n".encode()) == document


PLAIN = st.text() | st.booleans() | st.integers()


@given(st.dictionaries(st.text(), st.recursive(PLAIN, lambda each: st.lists(each) | st.dictionaries(st.text(), each))))
def test_writes_what_the_json_package_reads(request_: dict[str, object]) -> None:
    assert json.loads(encode(request_)) == request_


@pytest.mark.parametrize("text", ["", " ", "{", '{"a"}', "[1,", "nul", '"', "1 2", "{} x", b"\xff"])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each has words of its own
        decode(text)


def test_the_json_package_is_not_imported() -> None:
    code = "import sys; from rc_client.quick_json import decode, encode; decode(encode({'a': 1})); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"json", "re", "typing"} & set(done.stdout.split())
