"""The real Claude Code on a task: only the model is scripted. Proof is read from its own transcript."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_daemon.coding.catalog import Catalog
from rc_protos.errors import RemoteClaudeError
from rc_protos.model import Request, TaskState, TerminalSize
from support.claude import cached_claude
from support.daemon import DaemonProcess, wait_for
from support.model_server import ModelServer, Reply

pytestmark = [pytest.mark.needs("bwrap", "git"), pytest.mark.timeout(300), pytest.mark.xdist_group("claude")]

KEY = "sk-ant-fake-000"


@pytest.fixture
async def client(home: DaemonProcess) -> AsyncIterator[DaemonClient]:
    """A daemon whose cache holds Claude Code."""
    cached_claude(home.places)
    home.start()
    async with await DaemonClient.connect(start=False) as made:
        yield made


def credentials(server: ModelServer) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": server.url}


async def work(client: DaemonClient, daemon: DaemonProcess, server: ModelServer, prompt: str, **more: object) -> str:
    """Start a task; its id."""
    spec = daemon.spec(prompt, coding_agent="claude", isolation="", **more)
    task, _ = await client.create_task(spec, credentials=credentials(server))
    return task.id


async def one_request(client: DaemonClient, task: str) -> Request:
    """The request that the task waits with."""
    async with asyncio.timeout(60):
        while not (found := await client.list_requests(task)):
            state = await client.get_task(task)
            assert state.state is not TaskState.FAILED, (state.reason, state.evidence)
            await asyncio.sleep(0.05)
    return found[0]


async def diff(client: DaemonClient, task: str) -> str:
    return b"".join([chunk async for chunk in client.diff_task(task)]).decode()


def transcript(daemon: DaemonProcess, task: str) -> list[dict]:
    """Claude Code's own, as it was copied to the host: every line of every session."""
    lines: list[dict] = []
    with tarfile.open(daemon.places.tasks / task / "transcript.tar") as tar:
        for member in tar:
            if member.name.endswith(".jsonl"):
                file = tar.extractfile(member)
                assert file is not None
                lines += [json.loads(line) for line in file.read().decode().splitlines()]
    return lines


def tool_results(lines: list[dict]) -> list[tuple[str, bool]]:
    """(what a tool gave back, whether it failed), in order."""
    found = []
    for line in lines:
        content = line.get("message", {}).get("content")
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "tool_result":
                found.append((json.dumps(part.get("content")), bool(part.get("is_error"))))
    return found


def tool_calls(lines: list[dict]) -> list[tuple[str, str]]:
    """(tool, what it was told), in order."""
    found = []
    for line in lines:
        content = line.get("message", {}).get("content")
        for part in content if isinstance(content, list) else []:
            if part.get("type") == "tool_use":
                told = part["input"].get("command") or os.path.basename(part["input"].get("file_path", ""))
                found.append((part["name"], told))
    return found


WRITE = {"file_path": "/workspace/hi.txt", "content": "hi\n"}
EDIT = [
    Reply("write the greeting", text="I write it.", tool="Write", arguments=WRITE),
    Reply("3 hi.txt", text="Done: three bytes."),
    Reply("hi.txt", tool="Bash", arguments={"command": "wc -c hi.txt", "description": "Count"}),
]


async def test_it_edits_and_runs_a_command(client: DaemonClient, home: DaemonProcess) -> None:
    """A whole task, its key nowhere on disk, and the same as the bare CLI does."""
    with ModelServer(EDIT).serving() as server:
        task = await work(client, home, server, "write the greeting", mode="edits")
        await _approving(client, task)
        assert (await wait_for(client, task, TaskState.DONE)).state is TaskState.DONE
        assert server.problems == []
        ours = tool_calls(transcript(home, task))
        patch = await diff(client, task)
    assert "+hi" in patch
    assert ours == [("Write", "hi.txt"), ("Bash", "wc -c hi.txt")]
    with ModelServer(EDIT).serving() as server:
        theirs, their_patch = bare(home, server, "write the greeting")
    assert ours == theirs
    assert patch == their_patch
    assert _holders_of(home.home, KEY.encode()) == []


async def test_a_permission_is_denied_and_another_granted(client: DaemonClient, home: DaemonProcess) -> None:
    """What the human said is what Claude Code's own transcript tells."""
    script = [
        Reply("touch two files", tool="Bash", arguments={"command": "touch denied.txt", "description": "One"}),
        Reply("User refused permission", tool="Bash", arguments={"command": "touch granted.txt", "description": "Two"}),
        Reply("tool_result", text="As you say."),
    ]
    with ModelServer(script).serving() as server:
        task = await work(client, home, server, "touch two files", mode="ask")
        first = await one_request(client, task)
        assert "denied.txt" in first.title + first.detail
        await client.answer_request(first.id, approve=False)
        second = await one_request(client, task)
        assert "granted.txt" in second.title + second.detail
        with pytest.raises(RemoteClaudeError, match="already"):
            await client.answer_request(first.id, approve=True)
        await client.answer_request(second.id, approve=True)
        await wait_for(client, task, TaskState.DONE)
        assert server.problems == []
    results = tool_results(transcript(home, task))
    assert [failed for _, failed in results] == [True, False]
    patch = await diff(client, task)
    assert "granted.txt" in patch
    assert "denied.txt" not in patch


async def test_killed_in_mid_turn_it_goes_on_with_its_transcript(client: DaemonClient, home: DaemonProcess) -> None:
    """`rc resume` after kill -9 of Claude Code: the tool result from before the kill is in what the model is told."""
    hold = threading.Event()
    script = [
        Reply(
            "begin the work",
            tool="Bash",
            arguments={"command": "echo before-the-kill > k.txt; cat k.txt", "description": "x"},
        ),
        Reply("You were interrupted", text="I go on where I was."),
        Reply("before-the-kill", text="never said", hold=hold),
    ]
    with ModelServer(script).serving() as server:
        task = await work(client, home, server, "begin the work", mode="edits")
        await _approving(client, task)
        await _until(lambda: any("before-the-kill" in json.dumps(each["messages"]) for each in server.requests))
        found = await client.get_task(task)
        sessions = await client.list_sessions(found.sandbox_id)
        running = next(each for each in sessions if each.kind == "coding-agent" and not each.ended)
        await client.signal_session(found.sandbox_id, running.id, 9)
        failed = await wait_for(client, task, TaskState.FAILED)
        assert "ended during turn 1" in failed.reason
        hold.set()
        await client.resume_task(task, credentials=credentials(server))
        await wait_for(client, task, TaskState.DONE)
        told = json.dumps(server.requests[-1]["messages"])
        assert "begin the work" in told
        assert "before-the-kill" in told
        assert server.problems == []
    assert len({line["sessionId"] for line in transcript(home, task) if "sessionId" in line}) == 1


async def test_its_own_tui_and_back(client: DaemonClient, home: DaemonProcess) -> None:
    """The native TUI shows what was said over ACP, and ACP goes on afterwards."""
    from rc_client.session import AttachedSession, Output

    script = [
        Reply("say the word", text="The word is MARMALADE."),
        Reply("and again", text="Again: MARMALADE."),
    ]
    with ModelServer(script).serving() as server:
        task = await work(client, home, server, "say the word", mode="edits")
        await wait_for(client, task, TaskState.DONE)
        sandbox, session_id = await client.open_native(
            task, TerminalSize(100, 30), "xterm-256color", credentials=credentials(server)
        )
        session = AttachedSession(client, sandbox, session_id)
        screen, confirmed = b"", False
        async with asyncio.timeout(60):
            async for item in session.output(screen=TerminalSize(100, 30)):
                assert isinstance(item, Output), screen[-2000:]
                screen += item.data
                if b"ANTHROPIC_API_KEY" in screen and not confirmed:
                    # The person's own decision: up, Enter.
                    confirmed = True
                    await asyncio.sleep(0.5)
                    await session.write(b"\x1b[A")
                    await asyncio.sleep(0.3)
                    await session.write(b"\r")
                if b"MARMALADE" in screen:
                    break
        await session.close()
        await client.close_session(sandbox, session_id)
        await client.say_task(task, "and again", credentials=credentials(server))
        await _until_text(client, task, "Again: MARMALADE.")
        assert (await wait_for(client, task, TaskState.DONE)).state is TaskState.DONE
        assert server.problems == []


def bare(daemon: DaemonProcess, server: ModelServer, prompt: str) -> tuple[list[tuple[str, str]], str]:
    """The same prompt through the CLI alone, in a sandbox of the same shape: its tool calls and its diff."""
    catalog = Catalog(daemon.places)
    program = catalog.installation(catalog.get("claude")).program
    place = daemon.home / "bare"
    subprocess.run(["git", "clone", "-q", str(daemon.repository()), str(place)], check=True)
    home = daemon.home / "bare-home"
    home.mkdir()
    environment = {"HOME": "/home/rc", "PATH": os.environ["PATH"], **credentials(server), **_quiet()}
    bwrap = ["bwrap", "--unshare-user", "--uid", "1000", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    bwrap += ["--tmpfs", "/tmp", "--tmpfs", "/home", "--bind", str(home), "/home/rc", "--bind", str(place), str(place)]
    program = os.path.realpath(program)
    argv = [program, "-p", prompt, "--permission-mode", "acceptEdits", "--allowedTools", "Bash(wc:*)"]
    script = [
        Reply(each.expects, each.text, each.tool, _moved(each.arguments, str(place)), each.hold)
        for each in server.script
    ]
    server.script[:] = script
    done = subprocess.run(
        [*bwrap, "--chdir", str(place), "--", *argv],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for path in home.rglob("*.jsonl") for line in path.read_text().splitlines()]
    subprocess.run(["git", "add", "-A"], cwd=place, check=True)
    flags = ["diff", "--cached", "--binary", "--full-index", "--no-ext-diff"]
    patch = subprocess.run(["git", *flags], cwd=place, capture_output=True, text=True, check=True).stdout
    return tool_calls(lines), patch


def _moved(arguments: dict, place: str) -> dict:
    return {
        key: value.replace("/workspace", place) if isinstance(value, str) else value for key, value in arguments.items()
    }


def _quiet() -> dict[str, str]:
    return {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "DISABLE_TELEMETRY": "1"}


def _holders_of(root: Path, secret: bytes) -> list[str]:
    """Files below a directory that hold a secret."""
    found = []
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and "cache" not in path.parts and secret in path.read_bytes():
            found.append(str(path))
    return found


async def _approving(client: DaemonClient, task: str) -> None:
    """Approve whatever is asked until the task needs nothing for a moment."""

    async def approve() -> None:
        while True:
            for request in await client.list_requests(task):
                await client.answer_request(request.id, approve=True)
            await asyncio.sleep(0.05)

    approving.append(asyncio.ensure_future(approve()))


approving: list[asyncio.Future[None]] = []


@pytest.fixture(autouse=True)
async def _no_approver_left() -> AsyncIterator[None]:
    yield
    for each in approving:
        each.cancel()
    await asyncio.gather(*approving, return_exceptions=True)
    approving.clear()


async def _until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not done():
            await asyncio.sleep(0.05)


async def _until_text(client: DaemonClient, task: str, text: str) -> None:
    async with asyncio.timeout(90):
        while True:
            events, _ = await client.list_events(task, kinds=("message.text",))
            if text in "".join(json.loads(event.payload)["text"] for event in events):
                return
            await asyncio.sleep(0.1)
