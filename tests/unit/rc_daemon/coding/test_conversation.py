"""A conversation over a real link, with coding agents that behave, misbehave and die."""

from __future__ import annotations

import asyncio
from pathlib import Path
import random

import pytest
from rc_protos.stream.segments import segment_path
from support.linked import TASK
from support.talking import talking

from rc_daemon.coding import conversation as module
from rc_daemon.coding import delivery
from rc_daemon.coding.record import COLLECTION, Record
from rc_daemon.coding.state import Step
from rc_daemon.coding.view import Phase
from rc_daemon.store.tx import Tx
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import RequestState

HOSTILE = r"""
message = prompted()
raw(b"\x1b]0;title\x07 not json\n\xff\xfe\n[]\nnull\n" * 200)
raw(b'{"a":' * 3000 + b"}" * 3000 + b"\n")
raw(b'{"method":"session/update","params":' + b"[" * 500 + b"]" * 500 + b"}\n")
raw(b'{"method":"session/update","params":{"update":{"sessionUpdate":"x","t":"\\ud800","n":1e999}}}\n')
raw(b'{"id":7,"result":{}}\n{"id":null,"error":1}\n{"id":1,"result":{"protocolVersion":9}}\n')
raw(b'{"id":[],"method":"session/request_permission"}\n')
raw(b'{"jsonrpc":"2.0","x":"' + b"y" * (3 << 20) + b'"}\n')
for number in range(500):
    ask(number, "\x1b[2J" + "t" * 5000)
text("\x1b[31mstill alive")
end(message)
end(message)
raw(b"no line end")
end(prompted())
"""


async def test_a_coding_agent_that_sends_anything_is_understood_where_it_can_be() -> None:
    async with talking(HOSTILE) as talk:
        await talk.start()
        await talk.say()
        view = await talk.turns(1)
        assert (view.phase, view.stop_reason, view.pending) == (Phase.READY, "end_turn", ())
        assert (await talk.texts())[0].endswith("still alive")
        requests = await talk.store.read(lambda tx: tx.list_requests(TASK, pending_only=False))
        assert {each.state for each in requests} == {RequestState.WITHDRAWN}
        assert len(requests) == 32
        assert len(await talk.events("coding.log")) < 60, "what follows is told together"
        await talk.say()
        await talk.turns(2)


FLOOD = r"""
import threading
message = prompted()
for number in range(0, 40_000, 1000):
    raw(b"".join(b'{"id":%d,"method":"x"}\n' % (number + n) for n in range(1000)))
wait_for("drain")
threading.Thread(target=sys.stdin.read, daemon=True).start()
end(message)
time.sleep(600)
"""


async def test_one_that_asks_and_never_listens_is_made_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "OWED_MOST", 64 << 10)
    async with talking(FLOOD) as talk:
        await talk.start()
        await talk.say()
        await talk.phase(Phase.WORKING)

        def owed(tx: Tx) -> int:
            return sum(len(row.data) for row in tx.outbox_pending(talk.conversation.view().session_id))

        async with asyncio.timeout(60):
            while await talk.store.read(owed) <= 64 << 10:
                await asyncio.sleep(0.02)
        sizes = set()
        for _ in range(10):
            await asyncio.sleep(0.05)
            sizes.add(await talk.store.read(owed))
        assert max(sizes) < 1 << 20, "one piece of output may follow, not more"
        (talk.given.root / "drain").touch()
        await talk.turns(1)


TORRENT = r"""
message = prompted()
for number in range(24):
    text("%d " % number + "x" * (1 << 20))
end(message)
prompted()
"""


async def test_what_is_printed_faster_than_it_is_read_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror is bounded, and nothing goes that was not processed."""
    reading, read_on = asyncio.Event(), asyncio.Event()
    output = module.Conversation._output

    async def slowly(self: module.Conversation, offset: int, data: bytes) -> bool:
        if offset > 1 << 20:
            reading.set()
            await read_on.wait()
        return await output(self, offset, data)

    monkeypatch.setattr(module.Conversation, "_output", slowly)
    cap = 4 << 20
    async with asyncio.timeout(120), talking(TORRENT, cap=cap) as talk:
        await talk.start()
        await talk.say()
        await reading.wait()
        mirror = talk.given.mirrors.find(talk.conversation.view().session_id)
        assert mirror is not None
        while mirror.end("out") < cap:
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.5)
        assert mirror.end("out") < 2 * cap
        read_on.set()
        view = await talk.turns(1)
        assert (view.phase, view.stop_reason) == (Phase.READY, "end_turn")
        starts = [words.split(" ")[0] for words in await talk.texts()]
        assert [each for each in starts if each.isdigit()] == [str(number) for number in range(24)]
        assert mirror.first("out") > 0, "what was processed is let go"


async def test_one_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.4)
    monkeypatch.setattr(module, "START_TICK", 0.1)
    puppet = """
if not os.path.exists("second"):
    open("second", "w").close()
    time.sleep(600)
end(prompted())
prompted()
"""
    async with talking(puppet) as talk:
        await talk.start()
        view = await talk.phase(Phase.FAILED)
        assert view.error == "it did not answer initialize within 0 s"
        await talk.say()
        await talk.start()
        await talk.turns(1)


async def test_time_without_a_link_is_not_the_coding_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 0.3)
    monkeypatch.setattr(module, "START_TICK", 0.1)
    async with talking("wait_for('linked'); prompted()") as talk:
        await talk.start()
        await talk.given.links.drop(talk.given.sandbox_id)
        await asyncio.sleep(1.0)
        assert talk.conversation.view().phase is Phase.STARTING
        monkeypatch.setattr(module, "START_SECONDS", 300.0)
        (talk.given.root / "linked").touch()
        talk.given.links.ensure(talk.given.sandbox_id, talk.given.sandbox)
        await talk.phase(Phase.READY)


HALVES = """
message = prompted()
whole = json.dumps({"method": "session/update", "params": {"sessionId": "s1", "update": {
    "sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "one sentence"}}}}).encode()
raw(whole[:40])
wait_for("rest")
raw(whole[40:] + b"\\n")
end(message)
prompted()
"""


async def test_a_commit_that_fails_costs_no_byte_of_an_unfinished_line() -> None:
    async with talking(HALVES) as talk:
        await talk.start()
        await talk.say()
        memory = talk.conversation._memory
        async with asyncio.timeout(60):
            while memory.machine.received - memory.record.state.get("offset", 0) != 40:
                await asyncio.sleep(0.01)

        def full(tx: Tx) -> None:
            raise RemoteClaudeError("the disk is full", code=ErrorCode.EXHAUSTED)

        with pytest.raises(RemoteClaudeError):
            await memory.commit([Step()], more=full)
        (talk.given.root / "rest").touch()
        await talk.turns(1)
        assert await talk.texts() == ["one sentence"]


TURNS = """
while True:
    message = prompted()
    text("working")
    while True:
        other = read()
        if other.get("method") == "session/cancel":
            end(message, "cancelled")
            break
"""


async def test_a_caller_that_goes_away_leaves_memory_and_registry_the_same() -> None:
    dice = random.Random(4)
    async with talking(TURNS) as talk, Background("callers") as background:
        await talk.start()
        for _ in range(12):
            for work in (talk.say(), talk.conversation.cancel()):
                caller = background.spawn(work, "caller")
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
                caller.cancel()
                await asyncio.wait([caller])
                async with talk.conversation._lock:
                    stored = await talk.store.read(lambda tx: tx.get_doc(COLLECTION, TASK))
                    assert Record.load(stored or {}) == talk.conversation._memory.record
            if await talk.store.read(lambda tx: tx.get_doc("prompts", TASK)) is None:
                continue
            await talk.conversation.wake()
            await talk.until(lambda view: view.busy or not view.queued)
            await talk.conversation.cancel()
            await talk.until(lambda view: not view.busy and not view.queued)
        prompts = await talk.events("task.prompt")
        assert [each["prompt"] for each in await talk.events("turn.started")] == [each["prompt"] for each in prompts]


ASKS = """
message = prompted()
ask(1, "first")
ask(2, "second")
answers = {}
while len(answers) < 2:
    answer = read()
    answers[answer["id"]] = answer["result"]["outcome"]["optionId"]
text(json.dumps([answers[1], answers[2]]))
end(message)
prompted()
"""


async def test_a_request_outlives_the_daemon_and_is_answered_once() -> None:
    async with talking(ASKS) as talk:
        await talk.start()
        await talk.say()
        view = await talk.until(lambda view: len(view.pending) == 2)
        await talk.answer(view.pending[1], approve=False)
        await talk.restart()
        assert talk.conversation.view().pending == view.pending[:1]
        await talk.answer(view.pending[0])
        with pytest.raises(RemoteClaudeError, match="approved by local already"):
            await talk.answer(view.pending[0], approve=False)
        await talk.turns(1)
        assert await talk.texts() == ['["a", "r"]']
        assert talk.conversation.view().starts == 1


@pytest.mark.parametrize(
    ("puppet", "turn", "how"),
    [
        ("sys.exit('it will not start')", 0, 1),
        ("prompted(); text('a'); sys.stderr.write('it breaks\\n'); os._exit(3)", 1, 3),
        ("end(prompted()); time.sleep(0.2); os._exit(4)", 1, 4),
    ],
)
async def test_one_that_dies_leaves_its_last_words(puppet: str, turn: int, how: int) -> None:
    async with talking(puppet) as talk:
        await talk.start()
        await talk.say()
        view = await talk.phase(Phase.ENDED)
        assert view.exit is not None
        assert (view.exit.code, view.turn) == (how, turn)
        assert view.interrupted == (how == 3)
        assert bool(view.evidence) == (how in (1, 3))
        assert len(await talk.events("turn.ended")) == turn


async def test_a_turn_that_was_cut_goes_on_in_a_new_process() -> None:
    puppet = """
first = not os.path.exists("again")
open("again", "w").close()
message = prompted()
text(message["params"]["prompt"][0]["text"])
if first:
    os._exit(9)
end(message)
prompted()
"""
    async with talking(puppet) as talk:
        await talk.start()
        await talk.say("do it")
        await talk.phase(Phase.ENDED)
        await talk.start(continue_turn=True)
        await talk.turns(2)
        assert await talk.texts() == ["do it", "Continue where you were interrupted."]
        assert talk.conversation.view().starts == 2


async def test_output_that_cannot_be_read_fails_the_conversation_aloud() -> None:
    async with talking(TURNS) as talk:
        await talk.start()
        await talk.say()
        await talk.phase(Phase.WORKING)
        session = talk.given.mirrors.find(talk.conversation.view().session_id)
        assert session is not None
        await talk.conversations.close()
        # As if nothing of it had been processed when its log was let go.
        for path in session.directory.glob("out.*"):
            path.unlink()
        Path(segment_path(str(session.directory), "out", session.end("out"))).touch()

        def forget(tx: Tx) -> None:
            known = tx.get_doc(COLLECTION, TASK)
            assert known is not None
            tx.put_doc(COLLECTION, TASK, {**known, "state": {**known["state"], "offset": 0}})

        await talk.store.transact(forget)
        await talk._made_anew()
        view = await talk.phase(Phase.FAILED)
        assert view.error.startswith("its output cannot be read")


async def test_a_prompt_that_may_not_have_arrived_is_said_again() -> None:
    puppet = """
first = not os.path.exists("again")
open("again", "w").close()
message = prompted()
if first:
    os._exit(9)
text(message["params"]["prompt"][0]["text"])
end(message)
prompted()
"""
    async with talking(puppet) as talk:
        await talk.start()
        await talk.say("do it")
        await talk.phase(Phase.ENDED)
        await talk.start(continue_turn=True)
        await talk.turns(2)
        assert await talk.texts() == ["do it"]
