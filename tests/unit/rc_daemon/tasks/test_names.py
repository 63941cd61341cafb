"""Names that are made, and names that are given."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_daemon.tasks import names
from rc_protos.errors import ErrorCode, RemoteClaudeError


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("make the tests pass", "make-tests-pass"),
        ("Please fix the flaky test in our CI", "fix-flaky-test-ci"),
        ("Übersetze die README", "ubersetze-die-readme"),
        ("don't panic", "dont-panic"),
        ("日本語", "task"),
        ("", "task"),
        ("the a an", "task"),
        ("x" * 80, "x" * names.LONGEST),
        ("one two three four five six seven", "one-two-three-four-five"),
    ],
)
def test_a_name_says_what_is_asked(prompt: str, name: str) -> None:
    assert names.slug(prompt) == name


@given(st.text())
def test_every_prompt_gives_a_good_name(prompt: str) -> None:
    name = names.slug(prompt)
    assert names.check(name) == name
    assert len(name) <= names.LONGEST
    assert re.fullmatch(r"[a-z0-9-]+", name)


@pytest.mark.parametrize("name", ["", "-x", "x-", "X", "a b", "a/b", "a..b", "a.lock", "x" * 65, "ü", "a\n"])
def test_what_no_branch_can_be_called_is_refused(name: str) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        names.check(name)
    assert caught.value.code is ErrorCode.USAGE


def test_a_taken_name_gets_the_first_free_number() -> None:
    assert names.unique("a", {"b"}) == "a"
    assert names.unique("a", {"a"}) == "a-2"
    assert names.unique("a", {"a", "a-2", "a-4"}) == "a-3"
