"""A person, a daemon and a coding agent talk: turns, permissions, deaths, limits of time and number, credentials."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from support.daemon import DaemonProcess, wait_for

from rc_client import DaemonClient
from rc_daemon.coding import inputs
from rc_daemon.store.store import Store
from rc_protos import ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Request, Task, TaskState

PATIENCE = 60.0


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[DaemonClient]:
    async with await DaemonClient.connect(start=False) as made:
        yield made


async def until(work: Callable[[], object]) -> object:
    """What a call gives, once that is something; a daemon that starts again is waited for."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with suppress(RemoteClaudeError):
                if found := await work():  # type: ignore[misc]
                    return found
            await asyncio.sleep(0.05)


async def request(client: DaemonClient, task: Task) -> Request:
    """The one request that waits."""
    found = await until(lambda: client.list_requests(task.id))
    assert isinstance(found, list | tuple)
    return found[0]


async def texts(client: DaemonClient, task: Task) -> str:
    events, _ = await client.list_events(task=task.id)
    return " ".join(json.loads(each.payload)["text"] for each in events if each.kind == "message.text")


async def test_a_task_that_is_done_works_again_when_spoken_to(daemon: DaemonProcess, client: DaemonClient) -> None:
    task, _ = await client.create_task(daemon.spec("demo: say one"))
    await wait_for(client, task.id, TaskState.DONE)
    await client.say_task(task.id, "demo: say two")
    await until(lambda: _has_said(client, task, "two"))
    done = await wait_for(client, task.id, TaskState.DONE)
    assert done.stop_reason == "end_turn"
    assert await texts(client, task) == "one two"


async def _has_said(client: DaemonClient, task: Task, word: str) -> bool:
    return word in await texts(client, task)


async def test_a_running_turn_is_cancelled_once(daemon: DaemonProcess, client: DaemonClient) -> None:
    task, _ = await client.create_task(daemon.spec("demo: say begun; stubborn 2; sleep 300"))
    await until(lambda: _has_said(client, task, "begun"))
    await client.cancel_turn(task.id)
    with pytest.raises(RemoteClaudeError, match="is being cancelled already"):
        await client.cancel_turn(task.id)
    stopped = await wait_for(client, task.id, TaskState.STOPPED)
    assert stopped.reason == "the turn was cancelled"
    with pytest.raises(RemoteClaudeError, match="has no turn that runs"):
        await client.cancel_turn(task.id)


async def test_an_answer_is_delivered_though_the_daemon_died_right_after_it(
    daemon: DaemonProcess, client: DaemonClient
) -> None:
    task, _ = await client.create_task(daemon.spec("demo: ask; say permitted"))
    asked = await request(client, task)
    daemon.kill()
    # As if it had died between the answer's commit and its delivery.
    store = await Store.open(f"sqlite:///{daemon.places.registry}")
    await store.transact(lambda tx: inputs.record_answer(tx, asked.id, approve=True, actor="somebody"))
    await store.close()
    daemon.start()
    await until(lambda: _is_done(client, task))
    assert await texts(client, task) == "permitted"
    with pytest.raises(RemoteClaudeError, match="approved by somebody already") as late:
        await client.answer_request(asked.id, approve=False)
    assert late.value.code is ErrorCode.PRECONDITION


async def _is_done(client: DaemonClient, task: Task) -> bool:
    return (await client.get_task(task.id)).state is TaskState.DONE


@pytest.mark.parametrize("last", ["crash", "stderr it breaks; exit 3"])
async def test_a_coding_agent_that_dies_in_its_turn_is_resumed(
    daemon: DaemonProcess, client: DaemonClient, last: str
) -> None:
    task, _ = await client.create_task(daemon.spec(f"demo: write a.txt one; {last}; say resumed"))
    failed = await wait_for(client, task.id, TaskState.FAILED)
    assert failed.reason.startswith("the coding agent ended during turn 1")
    assert ("it breaks" in failed.evidence) == (last != "crash")
    await client.resume_task(task.id)
    await until(lambda: _is_done(client, task))
    assert await texts(client, task) == "resumed"


async def test_a_task_that_ran_out_of_time_can_be_tried_again(daemon: DaemonProcess, client: DaemonClient) -> None:
    task, _ = await client.create_task(daemon.spec("demo: say begun; sleep 300", timeout_seconds=3))
    failed = await wait_for(client, task.id, TaskState.FAILED)
    assert (failed.reason, failed.stop_reason) == ("it ran out of time (3 s)", "timeout")
    again = await client.retry_task(task.id)
    assert again.retry_of == task.id
    assert again.spec.timeout_seconds == 3
    assert (await wait_for(client, again.id, TaskState.FAILED)).stop_reason == "timeout"


async def test_slots_go_round_the_repositories(home: DaemonProcess) -> None:
    home.places.config.mkdir(parents=True)
    (home.places.config / "config.toml").write_text("[limit]\nrunning = 2\n")
    home.start()
    other = str(home.repository("other"))

    def until_there(name: str) -> str:
        return f"demo: run sh -c 'while [ ! -e {home.home}/{name} ]; do sleep 0.1; done'"

    async with await DaemonClient.connect(start=False) as client:
        specs = [
            home.spec("demo: ask", name="asks"),
            home.spec(until_there("never"), name="a1"),
            home.spec(until_there("free"), name="a2"),
            home.spec("demo: say x", name="a3"),
            home.spec("demo: say x", name="b1", repository=other),
        ]
        made = []
        for spec in specs:
            made.append((await client.create_task(spec))[0])
            if spec.name == "asks":
                # Whoever waits for the human holds no slot.
                await wait_for(client, made[0].id, TaskState.WAITING)
        (home.home / "free").touch()
        for task in made[2:]:
            await wait_for(client, task.id, TaskState.DONE)
        events, _ = await client.list_events()
        moves = [(each.task_id, json.loads(each.payload)) for each in events if each.kind == "task.state"]
        names = {each.id: each.spec.name for each in made}
        entered = [names[task_id] for task_id, move in moves if move["from"] == "queued" != move["to"]]
        # The repository that has nothing running goes before the older task of the one that has.
        assert entered == ["asks", "a1", "a2", "b1", "a3"]


async def test_a_call_made_twice_at_once_makes_one_task(daemon: DaemonProcess, client: DaemonClient) -> None:
    once = ids.new_id()
    calls = [client.create_task(daemon.spec("demo: say x"), request_id=once) for _ in range(5)]
    made = await asyncio.gather(*calls)
    assert len({task.id for task, _ in made}) == 1
    assert len(await client.list_tasks()) == 1


async def test_a_credential_that_it_does_not_take_lands_nowhere(daemon: DaemonProcess, client: DaemonClient) -> None:
    secret = "sk-ant-" + "s3cret" * 4
    prompt = 'demo: run test -z "$ANTHROPIC_API_KEY" && echo absent; fail because'
    credentials = {"ANTHROPIC_API_KEY": secret}
    task, _ = await client.create_task(daemon.spec(prompt), credentials=credentials)
    failed = await wait_for(client, task.id, TaskState.FAILED)
    assert failed.credential_custody == "none"
    await client.say_task(task.id, "demo: say x", credentials=credentials)
    await until(lambda: _is_done(client, task))
    await client.stop_task(task.id)
    events, _ = await client.list_events()
    assert any("absent" in each.payload for each in events if each.kind == "tool.update"), "it was in the process"
    daemon.stop()
    found = [path for path in daemon.home.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert found == []
