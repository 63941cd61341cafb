"""The agent stopped for longer than the heartbeat waits: the link comes back, nothing is lost or typed twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import pytest

from rc_client import AttachedSession, DaemonClient
from rc_client.session import Output
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.model import LinkState
from support import known
from support.agent import agent_pid
from support.daemon import DaemonProcess, wait_for

DEADLINE = 120
STOPPED = 30
PRINTED = 8 << 20
TYPED = 50_000


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_frozen_agent(daemon: DaemonProcess) -> None:
    file, text = daemon.home / "typed", random.Random(2).randbytes(2 * TYPED)
    async with await DaemonClient.connect(start=False) as client, Background("test") as background:
        task, _ = await client.create_task(daemon.spec(name="t"))
        await wait_for(client, task.id, "done")
        sandbox_id = (await client.get_task("t")).sandbox_id
        session = AttachedSession(client, sandbox_id, ids.new_id())
        words = ["python3", "-c", known.SOURCE, 1, PRINTED, len(text), file]
        argv = [str(word).encode() for word in words]
        await client.open_session(sandbox_id, session.session_id, argv=argv, kind="exec")
        viewer = background.spawn(_read(session), "view")
        await session.write(text[:TYPED])
        pid = agent_pid(daemon.home)
        os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        try:
            # Typed while nobody there can hear it.
            await session.write(text[TYPED:])
            async with asyncio.timeout(DEADLINE):
                while await _link(client) is LinkState.UP:
                    await asyncio.sleep(0.2)
            await asyncio.sleep(began + STOPPED - time.monotonic())
        finally:
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(DEADLINE):
            assert await viewer == known.stream(1, PRINTED)
        assert agent_pid(daemon.home) == pid
        assert await _link(client) is LinkState.UP
        assert file.read_bytes() == text
        await session.close()


async def _read(session: AttachedSession) -> bytes:
    return b"".join([item.data async for item in session.output() if isinstance(item, Output)])


async def _link(client: DaemonClient) -> LinkState:
    return (await client.get_status()).links[0].state
