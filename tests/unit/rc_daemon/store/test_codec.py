from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rc_daemon.store.codec import decode, encode, microseconds, moment
from rc_daemon.store.rows import SessionRow
from rc_protos.model import (
    ExitStatus,
    Intent,
    Request,
    RequestOption,
    RequestState,
    Sandbox,
    Session,
    Task,
    TaskSpec,
    TaskState,
    Usage,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
TASK = Task(
    "a",
    TaskSpec("do\nit 🙂", name="n", options={"x": "y"}),
    TaskState.WAITING,
    NOW,
    NOW,
    saved_at=NOW,
    evidence=("one", "two"),
    usage=Usage(1, 2, cost=0.5),
    intent=Intent.STOP,
)


@pytest.mark.parametrize(
    "value",
    [
        TASK,
        replace(TASK, saved_at=None, evidence=()),
        Request("r", "a", "permission", "t", NOW, options=(RequestOption("1", "n", "allow_once"),)),
        Request("r", "a", "permission", "t", NOW, state=RequestState.DENIED, answered_at=NOW),
        Session("s", argv=(b"\xff\x00", b"x"), directory=b"/\xfe", exit=ExitStatus(130, 2)),
        Sandbox("b", "local"),
        SessionRow("s", "a", "b", ended=True, exit=ExitStatus(lost="holder lost")),
    ],
)
def test_what_went_in_comes_out(value: object) -> None:
    assert decode(encode(value), type(value)) == value


@given(st.binary(), st.text(), st.integers(min_value=-(2**63), max_value=2**63 - 1))
def test_any_bytes_text_and_number(data: bytes, text: str, number: int) -> None:
    session = Session(text, argv=(data,), out_end=number)
    assert decode(encode(session), Session) == session


def test_times_come_back_in_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5)))
    assert json.loads(encode(replace(TASK, saved_at=local)))["saved_at"] == NOW.isoformat()


def test_a_row_of_another_release_is_read() -> None:
    document = json.loads(encode(TASK))
    document["invented_later"] = 1
    del document["retry_of"]
    assert decode(json.dumps(document), Task) == TASK


def test_what_has_no_place_in_a_row_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no place in a row"):
        encode({"x": object()})


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_microseconds_are_exact(when: datetime) -> None:
    assert moment(microseconds(when)) == when
