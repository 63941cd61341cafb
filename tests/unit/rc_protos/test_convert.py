from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from rc_protos import model
from rc_protos.convert import from_message, moment, timestamp, to_message
from rc_protos.v1 import coding_agent_pb2, daemon_pb2, event_pb2, inbox_pb2, sandbox_pb2, session_pb2, task_pb2

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, UTC)
PAIRS: list[tuple[type[Any], type[Message]]] = [
    (model.Task, task_pb2.Task),
    (model.TaskSpec, task_pb2.TaskSpec),
    (model.Usage, task_pb2.Usage),
    (model.Event, event_pb2.Event),
    (model.Request, inbox_pb2.Request),
    (model.RequestOption, inbox_pb2.RequestOption),
    (model.Session, session_pb2.Session),
    (model.ExitStatus, session_pb2.ExitStatus),
    (model.TerminalSize, session_pb2.TerminalSize),
    (model.Sandbox, sandbox_pb2.Sandbox),
    (model.DaemonStatus, daemon_pb2.GetStatusResponse),
    (model.LinkStatus, daemon_pb2.LinkStatus),
    (model.Check, daemon_pb2.Check),
    (model.ConfigValue, daemon_pb2.ConfigValue),
    (model.CodingAgent, coding_agent_pb2.CodingAgent),
]
# Asked of the agent when a task is shown, and no part of what is stored.
WIRE_ONLY = {task_pb2.Task: {"stats"}}
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
NUMBERS = {"int": st.integers(-(2**31), 2**31 - 1), "float": st.floats(allow_nan=False)}


@pytest.mark.parametrize(("model_type", "message_type"), PAIRS)
def test_model_and_message_name_the_same_fields(model_type: Any, message_type: type[Message]) -> None:
    fields = {field.name for field in dataclasses.fields(model_type)}
    assert fields == {field.name for field in message_type.DESCRIPTOR.fields} - WIRE_ONLY.get(message_type, set())


def values(model_type: Any) -> st.SearchStrategy[Any]:
    """Any value of a model type."""
    text = st.builds(lambda each: each, TEXTS)
    st.register_type_strategy(datetime, TIMES)
    st.register_type_strategy(str, text)
    st.register_type_strategy(int, NUMBERS["int"])
    st.register_type_strategy(float, NUMBERS["float"])
    return st.from_type(model_type)


@given(st.data())
@pytest.mark.parametrize(("model_type", "message_type"), PAIRS)
def test_what_went_in_comes_out(model_type: Any, message_type: type[Message], data: st.DataObject) -> None:
    value = data.draw(values(model_type))
    message = to_message(value, message_type)
    assert from_message(message_type.FromString(message.SerializeToString()), model_type) == value


@pytest.mark.parametrize(
    ("states", "enum"),
    [(model.TaskState, task_pb2.TaskState), (model.RequestState, inbox_pb2.RequestState)],
)
def test_enums_have_the_same_members(states: Any, enum: Any) -> None:
    prefix = f"{'TASK' if states is model.TaskState else 'REQUEST'}_STATE_"
    names = {name.removeprefix(prefix).lower() for name in enum.keys()}  # noqa: SIM118 - a wrapper, not a mapping
    assert names == {state.value for state in states} | {"unspecified"}


def test_what_a_newer_side_says_becomes_the_default() -> None:
    message = task_pb2.Task(id="a", state=99, intent="dance", link_state="up")  # type: ignore[arg-type]
    found = from_message(message, model.Task)
    assert (found.state, found.intent, found.link_state) == (model.TaskState.QUEUED, model.Intent.RUN, "up")
    assert found.created_at == datetime.fromtimestamp(0, UTC)
    assert found.saved_at is None


def test_times_travel_in_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=-7)))
    assert timestamp(local) == timestamp(NOW)
    assert moment(timestamp(local)) == NOW
    assert moment(timestamp(local)).tzinfo is UTC
