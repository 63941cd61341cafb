"""A credential reaches the one process that needs it, from each of its sources, and is nowhere else."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_protos.model import TaskState
from support.daemon import DaemonProcess, wait_for
from support.releases import today

pytestmark = [pytest.mark.needs("bwrap", "git"), pytest.mark.timeout(180)]

NAME = "ANTHROPIC_API_KEY"
KEY = "sk-ant-a-key-that-must-stay-in-memory"
# The coding agent says that it has the key without saying the key.
PROMPT = (
    f"demo: run test ${NAME} = $(cat key-backwards | rev) && touch right; "
    "run sh -c 'while [ ! -e go ]; do sleep 0.05; done'; say over"
)
BACKEND = f"""
from keyring.backend import KeyringBackend

class Backend(KeyringBackend):
    priority = 1
    set_password = None

    def get_password(self, service, username):
        return {KEY[::-1]!r}[::-1] if (service, username) == ("anthropic", "me") else None
"""
CONFIG = {
    "environment": "",
    "command": f"[credentials]\n{NAME} = {{ command = 'echo {KEY[::-1]} | rev' }}\n",
    "a command that fails": f"[credentials]\n{NAME} = {{ command = 'echo {KEY[::-1]} | rev; exit 3' }}\n",
    "no entry": f'[credentials]\n{NAME} = {{ keyring = "anthropic/you" }}\n',
    "keyring": f'[credentials]\n{NAME} = {{ keyring = "anthropic/me" }}\n',
}


@pytest.fixture
def needy(home: DaemonProcess, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> DaemonProcess:
    """The demo coding agent as one that needs a key, which the parameter's source gives."""
    import rc_daemon.coding as coding

    home.places.config.mkdir()
    (home.places.config / "config.toml").write_text(CONFIG[request.param])
    own = home.places.config / "coding-agents"
    own.mkdir()
    demo = (Path(coding.__file__).parent / "agents/demo.toml").read_text()
    (own / "needy.toml").write_text(f'credentials = ["{NAME}"]\n{demo}')
    (home.home / "backend.py").write_text(BACKEND)
    home.environment |= {"PYTHONPATH": str(home.home), "PYTHON_KEYRING_BACKEND": "backend.Backend"}
    if request.param == "environment":
        monkeypatch.setenv(NAME, KEY)
    (home.repository() / "key-backwards").write_text(KEY[::-1])
    return home


@pytest.mark.parametrize("needy", ["a command that fails", "no entry"], indirect=True)
async def test_one_that_cannot_be_had_is_told(needy: DaemonProcess) -> None:
    needy.start()
    await asyncio.to_thread(today().rc, "run", "-d", "--agent", "needy", "--name", "t", PROMPT)
    async with asyncio.timeout(60):
        while NAME not in (said := await asyncio.to_thread(today().rc, "show", "t")):
            await asyncio.sleep(0.2)
    assert KEY not in said
    await asyncio.to_thread(today().rc, "daemon", "stop")
    assert files_with(needy.home, KEY) == []


@pytest.mark.parametrize("needy", ["environment", "command", "keyring"], indirect=True)
async def test_it_is_in_the_coding_agents_memory_only(needy: DaemonProcess) -> None:
    if NAME not in os.environ:
        needy.start()
    # Else `rc run` starts the daemon, out of an environment that has the key.
    words = ["run", "-d", "--dirty", "--agent", "needy", "--name", "t", PROMPT]
    await asyncio.to_thread(today().rc, *words)
    async with await DaemonClient.connect(start=False) as client:
        async with asyncio.timeout(60):
            while (task := await client.get_task("t")).state is not TaskState.WORKING:
                assert task.state not in (TaskState.WAITING, TaskState.FAILED), (task.reason, task.evidence)
                await asyncio.sleep(0.05)
        workspace = needy.places.sandboxes / "local" / task.sandbox_id / "workspace"
        async with asyncio.timeout(60):
            while not (workspace / "right").exists():
                await asyncio.sleep(0.05)
        for words in (["ls", "--json"], ["show", "t"], ["events", "t"], ["daemon", "status"], ["doctor"]):
            assert KEY not in await asyncio.to_thread(today().rc, *words)
        assert files_with(needy.home, KEY) == []
        assert [each for each in processes("cmdline") if KEY in each[1]] == []
        holders = {pid for pid, text in processes("environ") if f"{NAME}={KEY}" in text} - {os.getpid()}
        argv = dict(processes("cmdline"))
        assert {pid for pid in holders if "rc_demo" in argv.get(pid, "")}
        assert not [argv[pid] for pid in holders if re.search("rc_daemon|rc_agent|supervisor", argv.get(pid, ""))]
        (workspace / "go").touch()
        await wait_for(client, "t", TaskState.DONE)
    await asyncio.to_thread(today().rc, "daemon", "stop")
    assert files_with(needy.home, KEY) == []


def files_with(root: Path, text: str) -> list[str]:
    """Files that hold it; what the sandbox's /proc shows is no file of ours."""
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes():
                found.append(str(path))
    return found


def processes(what: str) -> list[tuple[int, str]]:
    """(pid, what /proc shows of it), of every process on the machine."""
    found = []
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                text = (place / what).read_bytes()
            except OSError:
                continue
            found.append((int(place.name), text.replace(b"\0", b" ").decode("utf-8", "replace")))
    return found
