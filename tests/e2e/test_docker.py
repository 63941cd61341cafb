"""Tasks in containers of a real Docker engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import Task, TaskSpec, TaskState
from rc_providers.docker import DockerProvider
from support import engine
from support.daemon import DaemonProcess, wait_for

pytestmark = [pytest.mark.needs("docker", "git"), pytest.mark.timeout(300)]


@pytest.fixture
async def provider(home: DaemonProcess) -> AsyncIterator[DockerProvider]:
    made = DockerProvider(home.home / "provider")
    yield made
    await made.close()


@pytest.fixture
async def client(daemon: DaemonProcess, provider: DockerProvider) -> AsyncIterator[DaemonClient]:
    async with await DaemonClient.connect(start=False) as connected:
        try:
            yield connected
        finally:
            for row in await connected.list_sandboxes():
                with contextlib.suppress(RemoteClaudeError):
                    await (await provider.attach(row.external_id)).destroy()


def spec(daemon: DaemonProcess, prompt: str, image: str = engine.IMAGE) -> TaskSpec:
    return daemon.spec(prompt, provider="docker", isolation="", options={"image": image})


async def done(client: DaemonClient, task: Task) -> Task:
    ended = await wait_for(client, task.id, TaskState.DONE, TaskState.FAILED)
    assert ended.state is TaskState.DONE, (ended.reason, ended.evidence)
    return ended


async def diff(client: DaemonClient, task: Task) -> bytes:
    return b"".join([chunk async for chunk in client.diff_task(task.id)])


async def test_a_whole_task(daemon: DaemonProcess, client: DaemonClient, provider: DockerProvider) -> None:
    task, _ = await client.create_task(spec(daemon, "demo: say hello; write a.txt one; run id -u; commit"))
    await done(client, task)
    assert b"+++ b/a.txt" in await diff(client, task)
    [row] = await client.list_sandboxes()
    assert row.isolation == "docker"

    await provider.engine.call(lambda api: api.restart(row.external_id, timeout=1))
    async with asyncio.timeout(90):
        while not any("holder lost" in event.payload for event in (await client.list_events(task.id))[0]):
            await asyncio.sleep(0.1)
        await client.say_task(task.id, "demo: write b.txt two")
        while b"+++ b/b.txt" not in await diff(client, task):
            assert (await client.get_task(task.id)).state is not TaskState.FAILED
            await asyncio.sleep(0.1)

    removed = await client.remove_task(task.id)
    await wait_for(client, removed.id, TaskState.REMOVED)
    assert (await client.get_task(task.id)).saved_to
    with pytest.raises(RemoteClaudeError) as caught:
        await provider.attach(row.external_id)
    assert caught.value.code is ErrorCode.NOT_FOUND


OWN_AGENT = """title = "Own"
command = ["{program}"]
command_inside = ["{program}", "--acp"]
[inside]
program = "own-agent"
[program]
name = "own-agent"
"""
DOCKERFILE = f"""FROM {engine.IMAGE}
RUN printf '#!/bin/sh\\ntest "$1" = --acp && PYTHONPATH="$RC_BUNDLE" exec python3 -S -m rc_demo\\n' > /usr/bin/own-agent
RUN chmod +x /usr/bin/own-agent
"""


async def test_a_coding_agent_that_the_image_brings(
    daemon: DaemonProcess, client: DaemonClient, tmp_path: Path
) -> None:
    folder = daemon.places.config / "coding-agents"
    folder.mkdir(parents=True)
    (folder / "own.toml").write_text(OWN_AGENT)
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    wish = {"provider": "docker", "isolation": "", "coding_agent": "own"}
    without, _ = await client.create_task(daemon.spec("demo: say hi", **wish, options={"image": engine.IMAGE}))
    failed = await wait_for(client, without.id, TaskState.FAILED)
    assert "own-agent" in failed.reason
    built, _ = await client.create_task(daemon.spec("demo: say hi", **wish, options={"build": str(tmp_path)}))
    await done(client, built)


async def test_an_image_that_is_nowhere(daemon: DaemonProcess, client: DaemonClient) -> None:
    task, _ = await client.create_task(spec(daemon, "demo: say hello", "localhost:9/no-such-image"))
    failed = await wait_for(client, task.id, TaskState.FAILED)
    assert "no-such-image" in failed.reason
    assert "-o build=" in str(failed.evidence) + failed.reason


async def test_an_option_that_is_unknown(daemon: DaemonProcess, client: DaemonClient) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await client.create_task(daemon.spec("x", provider="docker", isolation="", options={"imgae": "x"}))
    assert caught.value.code is ErrorCode.USAGE
    assert "image" in caught.value.hint
