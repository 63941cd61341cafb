"""A well-known package with a bug planted: its own tests fail in the sandbox before a task, and pass after it."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_protos.model import TaskState
from support.claude import cached_claude, shared_cache
from support.daemon import DaemonProcess, wait_for
from support.model_server import ModelServer, Reply
from support.needs import lacking
from support.releases import today

pytestmark = [pytest.mark.needs("bwrap", "git"), pytest.mark.timeout(300), pytest.mark.xdist_group("claude")]

NAME, VERSION = "idna", "3.10"
SHA256 = "12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9"
FILE = "idna/intranges.py"
RIGHT, WRONG = "if left <= int_ < right:", "if left <= int_ <= right:"
# Some 6,000 tests in a second.
SUITE = "python3 -B -m unittest 2>&1 | tail -1"
SECONDS = 180
SCRIPT = [
    Reply("make its tests pass", tool="Bash", arguments={"command": SUITE, "description": "Run the tests"}),
    Reply("FAILED (", tool="Read", arguments={"file_path": f"/workspace/{FILE}"}),
    Reply("has been updated", tool="Bash", arguments={"command": SUITE, "description": "Run the tests again"}),
    Reply(
        "def intranges_contain",
        tool="Edit",
        arguments={"file_path": f"/workspace/{FILE}", "old_string": WRONG, "new_string": RIGHT},
    ),
    Reply("OK (skipped", text="The end of a range is not in it."),
]


def source() -> Path:
    """The package's source distribution, fetched once by pip into the cache of the tests."""
    place = shared_cache() / "sources" / f"{NAME}-{VERSION}.tar.gz"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as folder:
            wish = ["--no-deps", "--no-binary", NAME, "--dest", folder, f"{NAME}=={VERSION}"]
            command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", *wish]
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            if done.returncode:
                lacking(f"{NAME} {VERSION} cannot be fetched: {(done.stderr.splitlines() or ['pip says nothing'])[-1]}")
            Path(folder, place.name).rename(place)
    assert hashlib.sha256(place.read_bytes()).hexdigest() == SHA256
    return place


@pytest.fixture
def repository(home: DaemonProcess) -> Path:
    """Its source with the bug, as a git repository."""
    with tarfile.open(source()) as archive:
        archive.extractall(home.home, filter="data")
    place = (home.home / f"{NAME}-{VERSION}").rename(home.home / "repository")
    text = (place / FILE).read_text()
    assert text.count(RIGHT) == 1
    (place / FILE).write_text(text.replace(RIGHT, WRONG))
    identity = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=place, check=True, timeout=60)
    return place


async def suite(task: str) -> str:
    """What the package's own tests say last in the task's sandbox."""
    return await asyncio.to_thread(today().rc, "exec", task, "--", "sh", "-c", SUITE)


async def test_claude_code_mends_a_real_package(home: DaemonProcess, repository: Path) -> None:
    cached_claude(home.places)
    home.start()
    async with await DaemonClient.connect(start=False) as client:
        await client.create_task(home.spec("demo: say nothing to do", name="before", isolation=""))
        await wait_for(client, "before", TaskState.DONE)
        assert (await suite("before")).startswith("FAILED (")
        with ModelServer(SCRIPT).serving() as server:
            credentials = {"ANTHROPIC_API_KEY": "sk-ant-fake-000", "ANTHROPIC_BASE_URL": server.url}
            spec = home.spec("make its tests pass", name="mend", coding_agent="claude", isolation="", mode="edits")
            await client.create_task(spec, credentials=credentials)
            await _done(client, "mend")
            assert server.problems == []
        assert (await suite("mend")).startswith("OK (")
        assert await client.apply_task("mend", str(repository)) == [FILE]
    changed = subprocess.run(["git", "diff", "-U0"], cwd=repository, capture_output=True, text=True, check=True).stdout
    lines = [line for line in changed.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert [line[1:].strip() for line in lines] == [WRONG, RIGHT]
    assert subprocess.run(["sh", "-c", SUITE], cwd=repository, capture_output=True, check=True).stdout.startswith(
        b"OK ("
    )


async def _done(client: DaemonClient, name: str) -> None:
    """Wait for the end, permitting what is asked."""
    async with asyncio.timeout(SECONDS):
        while (task := await client.get_task(name)).state is not TaskState.DONE:
            assert task.state is not TaskState.FAILED, (task.reason, task.evidence)
            for request in await client.list_requests(name):
                await client.answer_request(request.id, approve=True)
            await asyncio.sleep(0.05)
