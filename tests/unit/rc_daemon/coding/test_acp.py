"""The ACP machine against scripts of messages, fair and foul."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.acp_peer import OPTIONS, Peer

from rc_daemon.coding import acp, state
from rc_daemon.coding.acp import Machine
from rc_daemon.coding.clip import PAYLOAD_LIMIT
from rc_daemon.coding.state import Asked, State, Step
from rc_daemon.store.codec import encode


@pytest.fixture
def peer() -> Peer:
    return Peer()


def test_a_conversation_from_hello_to_a_second_turn(peer: Peer) -> None:
    peer.ready(mode="acceptEdits")
    assert [each["method"] for each in peer.said] == ["initialize", "session/new", "session/set_mode"]
    assert peer.kinds() == ["coding.hello", "mode", "coding.ready"]
    peer.prompt()
    peer.text("hello")
    peer.ask(rpc="their-id")
    assert (peer.state.stage, list(peer.state.pending)) == (state.TURN, ["req1"])
    assert peer.answer("req1")
    assert peer.said[-1] == {
        "jsonrpc": "2.0",
        "id": "their-id",
        "result": {"outcome": {"outcome": "selected", "optionId": "once"}},
    }
    call = peer.said[-2]["id"]
    peer.send(
        id=call, result={"stopReason": "end_turn", "usage": {"totalTokens": 3, "inputTokens": 2, "outputTokens": 1}}
    )
    assert (peer.state.stage, peer.state.stop_reason) == (state.READY, "end_turn")
    peer.prompt("more", 2)
    peer.reply({"stopReason": "end_turn", "usage": {"totalTokens": 3, "inputTokens": 2, "outputTokens": 1}})
    assert peer.payloads("turn.ended") == [{"turn": n, "stop_reason": "end_turn"} for n in (1, 2)]
    assert peer.payloads("usage")[-1]["input_tokens"] == 4


@pytest.mark.parametrize(
    ("options", "approve", "outcome"),
    [
        (OPTIONS, True, {"outcome": "selected", "optionId": "once"}),
        (OPTIONS, False, {"outcome": "selected", "optionId": "never"}),
        (OPTIONS[:1], True, {"outcome": "selected", "optionId": "always"}),
        (OPTIONS[:2], False, {"outcome": "cancelled"}),
    ],
)
def test_an_option_is_chosen_by_its_kind(peer: Peer, options: Any, approve: bool, outcome: Any) -> None:
    peer.ready()
    peer.prompt()
    peer.ask(options=options)
    assert peer.answer("req1", approve=approve)
    assert peer.said[-1]["result"]["outcome"] == outcome
    assert not peer.answer("req1"), "answered once"


def test_a_cancelled_turn_withdraws_what_was_asked_and_answers_what_comes_late(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    call = peer.said[-1]["id"]
    peer.ask(rpc=1)
    assert peer.cancel()
    assert not peer.cancel(), "asked for once"
    peer.ask(rpc=2)
    cancelled = {"outcome": {"outcome": "cancelled"}}
    assert [each["result"] for each in peer.said if each.get("id") in (1, 2) and "result" in each] == [cancelled] * 2
    assert [each.id for each in peer.withdrawn()] == ["req1"]
    peer.send(id=call, error={"code": 1, "message": "aborted"})
    assert peer.payloads("turn.ended") == [{"turn": 1, "stop_reason": "cancelled", "error": "aborted"}]
    assert peer.state.stage == state.READY


def test_a_process_that_dies_in_a_turn_is_taken_up_on_its_transcript(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    peer.ask()
    peer.ended()
    assert (peer.state.stage, peer.state.interrupted, peer.state.pending) == (state.CLOSED, True, {})
    assert peer.payloads("turn.ended")[0]["stop_reason"] == "lost"
    peer.begin()
    peer.greet()
    assert peer.said[-1]["method"] == "session/load"
    told = len(peer.happened)
    peer.text("what was said before")
    assert len(peer.happened) == told, "the history was stored when it happened"
    peer.reply({})
    assert peer.payloads("coding.ready")[-1] == {"session": "s1", "loaded": True}


def test_a_transcript_that_cannot_be_loaded_is_begun_anew(peer: Peer) -> None:
    peer.ready()
    peer.ended()
    peer.begin()
    peer.greet()
    peer.reply(error={"code": -32002, "message": "no such session"})
    assert peer.said[-1]["method"] == "session/new"
    peer.reply({"sessionId": "s2"})
    assert peer.state.session == "s2"
    assert "no such session" in peer.payloads("notice")[0]["text"]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([{"protocolVersion": 2}], "version 2"),
        ([{"error": {"code": -32000, "message": "log in"}}], "initialize failed: log in"),
        ([{"protocolVersion": 1}, {"error": {"code": 5, "message": "x", "data": {"details": "y"}}}], "x: y"),
        ([{"protocolVersion": 1}, {"sessionId": 7}], "does not fit the protocol"),
        ([{"protocolVersion": 1}, {"sessionId": ""}], "0 characters"),
        ([{"protocolVersion": 1}, {"sessionId": "s" * 2000}], "2000 characters"),
        (["nonsense"], "does not fit the protocol"),
    ],
)
def test_a_failed_start_says_why_and_nothing_later_counts(peer: Peer, answers: list[Any], error: str) -> None:
    peer.begin()
    for answer in answers:
        failed = isinstance(answer, dict) and "error" in answer
        peer.reply(answer) if not failed else peer.reply(error=answer["error"])
    assert peer.state.stage == state.FAILED
    assert error in peer.state.error
    said, happened = len(peer.said), len(peer.happened)
    peer.ask()
    peer.text("still here")
    peer.reply({"protocolVersion": 1})
    assert (len(peer.said), len(peer.happened), peer.state.stage) == (said, happened, state.FAILED)
    peer.ready()
    assert peer.state.stage == state.READY


def test_answers_that_nobody_asked_for_change_nothing(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    for rpc in (99, "x", None, [], {"a": 1}, 1.5, "9" * 5000):
        peer.send(id=rpc, result={"stopReason": "end_turn"})
    peer.send(id=1, result={"protocolVersion": 1})
    assert peer.state.stage == state.TURN
    peer.reply({"stopReason": "end_turn"})
    peer.reply({"stopReason": "refusal"})
    assert peer.state.stop_reason == "end_turn", "the second answer to the prompt"
    assert peer.kinds().count("turn.ended") == 1


def test_what_it_calls_is_answered_whatever_it_is(peer: Peer) -> None:
    peer.ready()
    peer.send(id=1, method="fs/read_text_file", params={"path": "/etc/shadow"})
    assert peer.said[-1]["error"]["code"] == acp.METHOD_NOT_FOUND
    peer.send(id=2, method="session/request_permission", params={"no": "such"})
    assert peer.said[-1]["error"]["code"] == acp.INVALID_PARAMS
    peer.send(id=3, method="m" * (1 << 20))
    assert len(json.dumps(peer.said[-1])) < 2000
    peer.send(id=4, method={"a": "method"})
    assert peer.said[-1]["error"]["code"] == acp.METHOD_NOT_FOUND
    said = len(peer.said)
    peer.send(id={"not": "an id"}, method="session/request_permission")
    peer.send(method="unknown/notification")
    assert len(peer.said) == said


def test_thousands_of_permission_requests_are_refused_beyond_a_few(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    for rpc in range(2000):
        peer.ask(rpc=rpc)
    assert len(peer.state.pending) == len(peer.asked()) == acp.PENDING_MOST
    assert peer.said[-1]["error"]["code"] == acp.INTERNAL_ERROR
    assert peer.answer("req1")
    peer.ask(rpc=5000)
    assert len(peer.asked()) == acp.PENDING_MOST + 1, "there is room again"


def test_a_request_is_of_bounded_size(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    many = [{"optionId": f"o{n}", "name": "n" * 9999, "kind": "allow_once"} for n in range(500)]
    peer.ask(title="t" * (1 << 20), options=[{"optionId": "i" * 9999, "name": "n", "kind": "allow_once"}, *many])
    (asked,) = peer.asked()
    assert asked.options[0].id == "o0", "an id that cannot be kept makes no option"
    assert len(encode(vars(asked))) < 80_000
    peer.ask(title="  ")
    assert peer.asked()[-1].title == "execute"


@pytest.mark.parametrize(
    "line",
    [
        b"npm warn deprecated",
        b"\xff\xfe\x00{",
        b"[1, 2]",
        b"null",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"method":"session/update","params":' + b'{"a":[' * 90 + b"1" + b"]}" * 90 + b"}",
        b'{"id":' + b"9" * 5000 + b"}",
    ],
)
def test_a_line_that_is_no_message_is_logged(peer: Peer, line: bytes) -> None:
    peer.ready()
    peer.bytes(line + b"\n")
    assert len(peer.payloads("coding.log")) == 1
    assert len(encode(peer.payloads("coding.log")[0])) < 10_000
    peer.prompt()
    assert peer.state.stage == state.TURN


def test_half_a_character_is_replaced_wherever_it_stands(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    peer.bytes(rb'{"method":"session/update","params":{"update":{"\ud800":["\udfff \ud83d\ude00"]}}}' + b"\n")
    assert encode(peer.payloads("coding.update")[0]).encode() == '{"update":{"?":["? 😀"]}}'.encode()
    peer.bytes(f'{{"id":{peer.said[-1]["id"]},"error":{{"message":"bad \\ud800"}}}}\n'.encode())
    assert peer.state.error == "bad ?"


def test_numbers_are_what_every_reader_takes(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    peer.update("usage_update", used=10**30, size=5, cost={"amount": 1, "currency": "c" * 9999})
    peer.bytes(
        b'{"method":"session/update","params":{"sessionId":"s1","update":{"sessionUpdate":"usage_update",'
        b'"used":1,"size":1,"cost":{"amount":1e999,"currency":"USD"}}}}\n'
    )
    peer.reply({"stopReason": "end_turn", "usage": {"totalTokens": 1, "inputTokens": 1 << 62, "outputTokens": 1 << 62}})
    for payload in [*peer.payloads("usage"), *peer.payloads("coding.update")]:
        assert json.loads(encode(payload), parse_constant=pytest.fail) == payload
        assert all(abs(value) < 1 << 63 for value in payload.values() if isinstance(value, int))


def test_a_line_over_the_limit_is_told_and_left_out() -> None:
    peer = Peer(line_limit=4096)
    peer.ready()
    peer.bytes(b"x" * 5000)
    assert peer.machine.received == peer.state.offset + 5000
    peer.bytes(b"x\n")
    assert "left out" in peer.payloads("coding.log")[0]["text"]
    peer.prompt()
    peer.text("on it goes")
    assert peer.payloads("message.text") == [{"text": "on it goes"}]


def test_giving_up_ends_the_turn(peer: Peer) -> None:
    peer.ready()
    peer.prompt()
    peer.ask()
    step = Step()
    peer.machine.fail(step, "its log is gone")
    peer.take(step)
    assert (peer.state.stage, peer.state.interrupted, peer.state.pending) == (state.FAILED, True, {})
    assert peer.payloads("turn.ended") == [{"turn": 1, "stop_reason": "lost", "error": "its log is gone"}]


# Whatever comes

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
methods = st.sampled_from(["session/update", "session/request_permission", "fs/read_text_file"]) | values
messages = st.fixed_dictionaries(
    {},
    optional={"id": st.integers(1, 6) | values, "method": methods, "params": values, "result": values, "error": values},
)
updates = st.builds(
    lambda kind, fields: {
        "method": "session/update",
        "params": {"sessionId": "s1", "update": {**fields, "sessionUpdate": kind}},
    },
    st.sampled_from(
        ["agent_message_chunk", "tool_call", "tool_call_update", "plan", "usage_update", "current_mode_update"]
    ),
    st.dictionaries(st.sampled_from(["content", "title", "toolCallId", "entries", "used", "size", "cost"]), values),
)
lines = st.binary(max_size=20) | (messages | updates).map(lambda message: json.dumps(message).encode())
commands = st.sampled_from(["begin", "greet", "new", "prompt", "end", "ask", "answer", "cancel", "ended", "load"])


def command(peer: Peer, name: str) -> None:
    """What the daemon or a well-behaved coding agent does at this point, if it can be done."""
    called = next((each["method"] for each in reversed(peer.said) if "id" in each and "method" in each), "")
    match name:
        case "begin" if peer.state.stage in (state.CLOSED, state.FAILED):
            peer.begin("ask")
        case "greet" if called == "initialize":
            peer.greet()
        case "new" if called == "session/new":
            peer.reply({"sessionId": "s1"})
        case "load" if called in ("session/load", "session/set_mode"):
            peer.reply({})
        case "prompt" if peer.state.stage == state.READY:
            peer.prompt()
        case "end" if called == "session/prompt":
            peer.reply({"stopReason": "end_turn"})
        case "ask":
            peer.ask()
        case "answer" if peer.state.pending:
            assert peer.answer(next(iter(peer.state.pending)))
        case "cancel":
            peer.cancel()
        case "ended":
            peer.ended()
        case _:
            pass


def check(peer: Peer) -> None:
    """What holds after every input."""
    dumped = encode(peer.state.dump())
    dumped.encode()
    assert State.load(json.loads(dumped)) == peer.state
    assert len(peer.state.pending) <= acp.PENDING_MOST
    assert len(peer.state.calls) <= 1
    assert not (peer.state.stage == state.READY and peer.state.calls)
    for each in peer.happened:
        payload = vars(each) if not isinstance(each, tuple) else each[1]
        text = encode(payload)
        text.encode()
        json.loads(text, parse_constant=pytest.fail)
        assert len(text) < 8 * PAYLOAD_LIMIT


@settings(max_examples=150, deadline=None)
@given(st.lists(commands | lines, max_size=25))
def test_nothing_that_it_says_breaks_the_machine(inputs: list[str | bytes]) -> None:
    peer = Peer()
    for each in inputs:
        if isinstance(each, str):
            command(peer, each)
        else:
            peer.bytes(each + b"\n")
        check(peer)
    started = peer.kinds().count("turn.started")
    assert started - peer.kinds().count("turn.ended") == (peer.state.stage == state.TURN)
    opened = {each.id for each in peer.happened if isinstance(each, Asked)}
    assert {each.id for each in peer.withdrawn()} | set(peer.state.pending) <= opened


@settings(max_examples=60, deadline=None)
@given(st.lists(lines, max_size=12), st.lists(st.floats(0, 1), max_size=5))
def test_a_machine_restored_anywhere_goes_on_as_if_nothing_had_happened(said: list[bytes], cuts: list[float]) -> None:
    output = b"".join(line + b"\n" for line in said)
    whole, cut = Peer(), Peer()
    for peer in (whole, cut):
        peer.ready()
        peer.prompt()
    base = whole.machine.received
    whole.bytes(output)
    for place in sorted(int(part * len(output)) for part in cuts):
        cut.bytes(output[cut.machine.received - base : place])
        # kill -9: what was not committed is read again from the processed offset.
        stored = json.loads(encode(cut.state.dump()))
        cut.machine = Machine(State.load(stored), cut.machine._new_id)
    cut.bytes(output[cut.machine.received - base :])
    assert encode([str(each) for each in cut.happened]) == encode([str(each) for each in whole.happened])
    assert (cut.said, cut.state) == (whole.said, whole.state)
