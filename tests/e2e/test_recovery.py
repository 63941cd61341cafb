"""docs/recovery.md, row by row, on the real parts: what is killed, filled or moved here, and what is lost by it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_client.session import AttachedSession, Ended
from rc_protos import ids
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import LinkState, Task, TaskState
from rc_protos.v1 import session_pb2 as pb
from rc_providers.local.layout import Layout
from support.daemon import DaemonProcess, destroy_sandbox, wait_for
from support.disks import small_disk
from support.life import diff_of
from support.needs import faketime_library
from support.processes import AGENT, CODING_AGENT, HOLDER, inside, parent

pytestmark = pytest.mark.needs("bwrap", "git")
SECONDS = 60.0
GATE = "run sh -c 'until [ -e /tmp/go ]; do sleep 0.05; done'"


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[DaemonClient]:
    """A connection to a running daemon."""
    async with await DaemonClient.connect(start=False) as made:
        yield made


async def begin(daemon: DaemonProcess, client: DaemonClient, prompt: str, **more: object) -> Task:
    """A task under bubblewrap that works, its coding agent's process there."""
    task, _ = await client.create_task(daemon.spec(prompt, isolation="", **more))
    task = await wait_for(client, task.id, TaskState.WORKING)
    # It stands at the gate.
    await eventually(lambda: inside(task.sandbox_id, b"/tmp/go"))
    return task


async def eventually(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Wait for something outside the daemon."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.05)


def go(daemon: DaemonProcess, task: Task) -> None:
    """Let the coding agent through its gate."""
    (Layout(daemon.places.sandboxes / "local" / task.sandbox_id).temporary / "go").touch()


async def kinds(client: DaemonClient, task: Task) -> list[str]:
    """What has happened to the task."""
    return [event.kind for event in (await client.list_events(task.id))[0]]


async def linked(client: DaemonClient, task: Task, state: LinkState) -> None:
    """Wait for the state of the link."""
    async with asyncio.timeout(SECONDS):
        while (await client.get_task(task.id)).link_state != state:
            await asyncio.sleep(0.02)


async def test_the_agent_is_killed(daemon: DaemonProcess, client: DaemonClient) -> None:
    """It is started again; the coding agent does not notice."""
    task = await begin(daemon, client, f"demo: write a.txt one; {GATE}; say after; write b.txt two")
    worker = inside(task.sandbox_id, CODING_AGENT)
    (agent,) = inside(task.sandbox_id, AGENT)
    os.kill(agent, signal.SIGKILL)
    await eventually(lambda: inside(task.sandbox_id, AGENT) not in ([], [agent]))
    assert inside(task.sandbox_id, CODING_AGENT)[: len(worker)] == worker
    go(daemon, task)
    await wait_for(client, task.id, TaskState.DONE)
    assert b"+++ b/b.txt" in await diff_of(client, task.id)
    assert (await kinds(client, task)).count("turn.started") == 1


async def test_a_holder_is_killed(daemon: DaemonProcess, client: DaemonClient) -> None:
    """Its session is reported ended, the log whole; the task resumes from the transcript."""
    task = await begin(daemon, client, f"demo: say before; write a.txt one; {GATE}; write b.txt two")
    holder = parent(inside(task.sandbox_id, CODING_AGENT)[0])
    assert HOLDER in Path(f"/proc/{holder}/cmdline").read_bytes()
    os.kill(holder, signal.SIGKILL)
    go(daemon, task)
    async with asyncio.timeout(SECONDS):
        while "session.ended" not in await kinds(client, task):
            await asyncio.sleep(0.05)
    found = await client.get_task(task.id)
    if found.state is not TaskState.DONE:
        found = await wait_for(client, task.id, TaskState.FAILED, TaskState.DONE)
    if found.state is TaskState.FAILED:
        await client.resume_task(task.id)
        await wait_for(client, task.id, TaskState.DONE)
    diff = await diff_of(client, task.id)
    assert b"+++ b/a.txt" in diff
    assert b"+++ b/b.txt" in diff


async def test_the_coding_agent_is_killed(daemon: DaemonProcess, client: DaemonClient) -> None:
    """The turn is reported as cut, with the reason; `rc resume` goes on behind what it had noted."""
    task = await begin(daemon, client, f"demo: write a.txt one; {GATE}; write b.txt two")
    os.kill(inside(task.sandbox_id, CODING_AGENT)[0], signal.SIGKILL)
    failed = await wait_for(client, task.id, TaskState.FAILED)
    assert failed.reason == "the coding agent ended during turn 1 (signal 9)"
    assert b"+++ b/a.txt" in await diff_of(client, task.id)
    go(daemon, task)
    await client.resume_task(task.id)
    await wait_for(client, task.id, TaskState.DONE)
    diff = await diff_of(client, task.id)
    assert b"+++ b/a.txt" in diff
    assert b"+++ b/b.txt" in diff
    assert (await kinds(client, task)).count("sandbox.created") == 1


async def test_a_shell_is_killed(daemon: DaemonProcess, client: DaemonClient) -> None:
    """Its end is told, with every byte that it printed; the task goes on."""
    task = await begin(daemon, client, f"demo: {GATE}; write a.txt one")
    session_id = ids.new_id()
    request = pb.OpenSessionRequest(
        session_id=session_id, kind="shell", name="sh", argv=[b"/bin/sh", b"-c", b"echo out; echo $$; exec sleep 987"]
    )
    await client.sessions.OpenSession(request, metadata=[("rc-protocol", "1"), ("rc-sandbox", task.sandbox_id)])
    await eventually(lambda: inside(task.sandbox_id, b"987"))
    os.kill(inside(task.sandbox_id, b"987")[-1], signal.SIGKILL)
    shell = AttachedSession(client, task.sandbox_id, session_id)
    said, status = b"", None
    async with asyncio.timeout(SECONDS):
        async for item in shell.output():
            if isinstance(item, Ended):
                status = item.status
            else:
                said += item.data
    await shell.close()
    assert said.startswith(b"out\n")
    assert status is not None
    assert status.signal == signal.SIGKILL
    go(daemon, task)
    await wait_for(client, task.id, TaskState.DONE)


async def test_a_settled_tasks_sandbox_is_destroyed(daemon: DaemonProcess, client: DaemonClient) -> None:
    """It comes back from the safe copy when it is needed again."""
    task, _ = await client.create_task(
        daemon.spec("demo: write a.txt one; commit first; write b.txt two", isolation="")
    )
    task = await wait_for(client, task.id, TaskState.DONE)
    await destroy_sandbox(daemon.places, task.sandbox_id)
    await client.say_task(task.id, "demo: run cat a.txt b.txt > c.txt")
    async with asyncio.timeout(SECONDS):
        while (await client.get_task(task.id)).sandbox_id == task.sandbox_id:
            await asyncio.sleep(0.05)
    again = await wait_for(client, task.id, TaskState.DONE)
    place = Layout(daemon.places.sandboxes / "local" / again.sandbox_id).workspace
    assert [(place / name).read_text() for name in ("a.txt", "b.txt", "c.txt")] == ["one", "two", "onetwo"]
    assert "work.recovered" in await kinds(client, task)


@pytest.fixture
def root() -> None:
    """Only root can mount."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")


async def test_the_disk_of_the_sandbox_is_full(root: None, daemon: DaemonProcess, client: DaemonClient) -> None:
    """What prints is held and not killed, the task says why, and it goes on when there is room."""
    with small_disk(daemon.places.sandboxes, "48m") as disk:
        task = await begin(daemon, client, f"demo: {GATE}; print 4096; write a.txt one")
        worker = inside(task.sandbox_id, CODING_AGENT)
        go(daemon, task)
        disk.fill()
        async with asyncio.timeout(SECONDS):
            while "disk full" not in (await client.get_task(task.id)).reason:
                await asyncio.sleep(0.1)
        assert inside(task.sandbox_id, CODING_AGENT)[:1] == worker[:1]
        disk.free()
        found = await wait_for(client, task.id, TaskState.DONE, TaskState.FAILED)
        assert (found.state, found.reason) == (TaskState.DONE, "")
        assert b"+++ b/a.txt" in await diff_of(client, task.id)
        await client.remove_task(task.id)


async def test_the_disk_of_the_host_is_full(root: None, home: DaemonProcess) -> None:
    """New tasks are refused, running ones are held and go on; nothing of them is lost."""
    with small_disk(home.places.data, "96m") as disk, small_disk(home.places.sandboxes, "64m"):
        home.environment = {"RC_DISK_REFUSE": "8", "RC_DISK_WARN": "16"}
        home.start()
        async with await DaemonClient.connect(start=False) as client:
            task = await begin(home, client, f"demo: {GATE}; print 2048; write a.txt one")
            disk.fill()
            go(home, task)
            with pytest.raises(RemoteClaudeError) as caught:
                await client.create_task(home.spec(isolation=""))
            assert caught.value.code is ErrorCode.EXHAUSTED
            assert "rc gc" in (await client.get_status()).warnings[0]
            # Longer than any number of attempts that would make it give up.
            await asyncio.sleep(15.0)
            disk.free()
            found = await wait_for(client, task.id, TaskState.DONE, TaskState.FAILED)
            assert (found.state, found.reason) == (TaskState.DONE, "")
            assert b"+++ b/a.txt" in await diff_of(client, task.id)
            await client.remove_task(task.id)
        await asyncio.to_thread(home.kill)


@pytest.mark.needs("faketime")
async def test_the_clock_jumps(home: DaemonProcess, tmp_path: Path) -> None:
    """Two days on and five back: no task runs out of time, and its work is copied as before."""
    clock = tmp_path / "clock"
    clock.write_text("+0s")
    home.environment = faked(clock) | {"RC_SAVE_INTERVAL": "1"}
    home.start()
    async with await DaemonClient.connect(start=False) as client:
        # Without bubblewrap, which would have to find the library too.
        gate = f"run sh -c 'until [ -e {tmp_path}/go ]; do sleep 0.05; done'"
        prompt = f"demo: {gate}; write a.txt one"
        task, _ = await client.create_task(home.spec(prompt, timeout_seconds=3600))
        task = await wait_for(client, task.id, TaskState.WORKING)
        place = Layout(home.places.sandboxes / "local" / task.sandbox_id).workspace
        for number, jump in enumerate(("+2d", "-3d")):
            clock.write_text(jump)
            (place / f"{number}.txt").write_text("changed")
            async with asyncio.timeout(SECONDS):
                while f"+++ b/{number}.txt".encode() not in await safe_copy(home, task):
                    await asyncio.sleep(0.1)
            assert (await client.get_task(task.id)).state is TaskState.WORKING
        (tmp_path / "go").touch()
        done = await wait_for(client, task.id, TaskState.DONE, TaskState.FAILED)
        assert (done.state, done.reason) == (TaskState.DONE, "")
        moments = [event.time for event in (await client.list_events(task.id))[0]]
        assert max(moments) - min(moments) > timedelta(days=4), "the clock did not jump"


def faked(clock: Path) -> dict[str, str]:
    """An environment in which the wall clock, and nothing else, is what a file says."""
    return {
        "LD_PRELOAD": str(faketime_library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def safe_copy(home: DaemonProcess, task: Task) -> bytes:
    """The difference between the base and the safe copy on the host; empty while there is none."""
    copy = home.places.tasks / task.id / "work.git"
    words = ["git", "-C", str(copy), "diff", task.base_commit, "refs/rc/save"]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, timeout=SECONDS)
    return done.stdout if done.returncode == 0 else b""


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_hundred_tasks_of_which_twenty_run(home: DaemonProcess) -> None:
    """The rest waits in a queue that says so; whoever stops makes room for the next."""
    home.environment = {"RC_LIMIT_RUNNING": "20"}
    home.start()
    async with await DaemonClient.connect(start=False) as client:
        prompt = f"demo: {GATE}; write a.txt one"
        made = [(await client.create_task(home.spec(prompt, isolation="")))[0] for _ in range(200)]
        assert len({task.name for task in made}) == 200
        async with asyncio.timeout(200):
            while len(working := await client.list_tasks(["state=working"])) < 20:
                await asyncio.sleep(0.2)
        await eventually(lambda: all(inside(task.sandbox_id, CODING_AGENT) for task in working))
        queued = await client.list_tasks(["state=queued"])
        assert len(queued) == 180
        reasons = sorted(task.reason for task in queued)
        assert reasons == sorted(["for a free slot (next)", *(f"for a free slot ({n} ahead)" for n in range(1, 180))])
        await asyncio.gather(*(client.remove_task(task.id, discard=True) for task in queued))
        for task in working:
            go(home, task)
        for task in working:
            await wait_for(client, task.id, TaskState.DONE)
            assert b"+++ b/a.txt" in await diff_of(client, task.id)
