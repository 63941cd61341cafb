from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_protos.stream.boot import MAX_NOISE, STAGE0, Boot, Failed, Ready, Send, failed_line, ready_line

ROOT = Path(__file__).resolve().parents[4]
NONCE = "n0nce"
BUNDLE = b"the bundle"
noise = st.lists(st.sampled_from([b"motd\n", b"RC-READY 1 other\n", b"RC-HELLO x\n", b"\x1b[31m", b"\r\n"]), max_size=4)


def boot() -> Boot:
    return Boot("digest", len(BUNDLE), lambda: BUNDLE, NONCE)


def fed(dialogue: Boot, data: bytes, cuts: list[int]) -> list[Send | Ready | Failed]:
    actions = []
    for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        actions += dialogue.feed(data[begin:end])
    return actions


@given(noise.map(b"".join), st.booleans(), st.binary(max_size=20), st.data())
def test_noise_and_cuts_make_no_difference(banner: bytes, has: bool, http: bytes, data: st.DataObject) -> None:
    hello = f"RC-HELLO {NONCE} 3.12.1 {'have' if has else 'need'}\n".encode()
    first = banner + hello
    second = banner + ready_line(NONCE) + http
    dialogue = boot()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(first)), max_size=5)))
    asked = fed(dialogue, first, cuts)
    assert [action.data for action in asked if isinstance(action, Send)] == ([] if has else [BUNDLE])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(second)), max_size=5)))
    actions = fed(dialogue, second, cuts)
    ready = actions[0]
    assert isinstance(ready, Ready)
    assert len(actions) == 1
    # What came after the line in the same piece is the beginning of HTTP/2; later pieces are not ours.
    assert http.startswith(ready.rest)
    assert dialogue.python == "3.12.1"
    assert dialogue.eof() == []


def reason(actions: list[Send | Ready | Failed]) -> str:
    (failed,) = actions
    assert isinstance(failed, Failed)
    return failed.reason


def test_a_failure_says_what_the_other_side_said() -> None:
    assert reason(boot().feed(b"motd\n" + failed_line(NONCE, "no\nroom \udcff"))) == "no room \\udcff"


def test_a_stream_that_ends_early_is_told_with_its_last_words() -> None:
    dialogue = boot()
    dialogue.feed(b"sh: python3: not ")
    dialogue.feed(b"found\n")
    assert "is there a python3?" in reason(dialogue.eof())
    dialogue = boot()
    dialogue.feed(f"RC-HELLO {NONCE} 3.12.1 have\nTraceback: boom".encode())
    assert reason(dialogue.eof()) == "the stream ended before the agent was ready; its last words: Traceback: boom"


@pytest.mark.parametrize("piece", [b"x" * 1000, b"x" * 999 + b"\n"])
def test_endless_noise_is_given_up(piece: bytes) -> None:
    dialogue = boot()
    actions: list[Send | Ready | Failed] = []
    for _ in range(MAX_NOISE // len(piece) + 2):
        actions = actions or dialogue.feed(piece)
    assert "something else than our agent" in reason(actions)


def test_what_runs_first_is_read_by_the_oldest_python() -> None:
    ast.parse(STAGE0, feature_version=(3, 6))


def test_the_oldest_python_of_the_agent_is_the_one_we_declare() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (major, minor), said = re.search(r"version_info < \((\d+), (\d+)\)", STAGE0).groups(), "{}.{} or newer is needed"  # type: ignore[union-attr]
    assert declared == f">={major}.{minor}"
    assert said.format(major, minor) in STAGE0
