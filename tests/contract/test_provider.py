"""What every provider promises: the contract of rc_providers.contract, and what only tests can arrange.

A new provider joins by a line in support/sandboxes.py.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from rc_protos.background import Background
from rc_providers.base import ByteStream, Capability, Sandbox
from rc_providers.contract import Check
from support.sandboxes import DEADLINE, Place, place, read_all, read_line, run, sh

IDLE_SECONDS = 60
# Between their two ends there is nothing that could lose patience.
WITHOUT_NETWORK = ("bubblewrap", "none", "fake", "example")
WITH_BWRAP = pytest.param("bubblewrap", marks=pytest.mark.needs("bwrap"))
WITH_DOCKER = pytest.param("docker", marks=pytest.mark.needs("docker"))
WITH_SSH = pytest.param("ssh", marks=pytest.mark.needs("sshd", "bwrap"))


@pytest.fixture(params=[WITH_BWRAP, "none", "fake", "example", WITH_DOCKER, WITH_SSH])
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with place(request.param) as found:
        yield found


async def test_contract(at: Place, contract_check: Check) -> None:
    await contract_check(at)


@pytest.fixture
async def sandbox(at: Place) -> Sandbox:
    return await at.create()


async def test_a_peer_that_does_not_read_holds_the_writer_and_loses_nothing(sandbox: Sandbox) -> None:
    gate = 'until [ -e "$RC_WORKSPACE/go" ]; do sleep 0.05; done; wc -c'
    stream = await sandbox.open(["/bin/sh", "-c", gate])
    size = 32 << 20
    async with Background("test") as background, asyncio.timeout(90):
        sending = background.spawn(stream.write(bytes(size)), "send")
        await asyncio.sleep(0.5)
        assert not sending.done()
        await sh(sandbox, 'touch "$RC_WORKSPACE/go"')
        await sending
        await stream.close_write()
        assert int(await read_all(stream)) == size
    await stream.close()


@pytest.mark.slow
async def test_a_stream_that_is_idle_stays(at: Place, sandbox: Sandbox) -> None:
    stream = await sandbox.open(["cat"])
    await asyncio.sleep(0 if at.kind in WITHOUT_NETWORK else IDLE_SECONDS)
    await stream.write(b"still here\n")
    assert await read_line(stream) == b"still here\n"
    await stream.close()


async def test_the_environment_is_the_sandboxes_own(at: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-of-the-caller")
    sandbox = await at.create()
    info = await sandbox.info()
    lines = dict(line.split("=", 1) for line in (await run(sandbox, "env")).splitlines())
    assert lines["HOME"] == info.home
    assert lines["RC_WORKSPACE"] == info.workspace
    assert lines["RC_STATE"]
    assert lines["PATH"]
    assert "TERM" not in lines
    assert "secret-of-the-caller" not in str(lines)
    state = await sh(
        sandbox, 'cd "$RC_STATE" && touch x && cd "$HOME" && touch y && cd "$RC_WORKSPACE" && touch z && ls'
    )
    assert state == "z\n"


async def test_a_descriptor_that_is_given_away_is_the_stream(sandbox: Sandbox) -> None:
    stream: ByteStream = await sandbox.open(["cat"])
    descriptor = stream.socket_fd()
    if descriptor is None:
        await stream.close()
        return
    with socket.socket(fileno=descriptor) as connection:
        connection.setblocking(True)
        connection.settimeout(DEADLINE)
        connection.sendall(b"through")
        connection.shutdown(socket.SHUT_WR)
        came = b""
        while data := await asyncio.to_thread(connection.recv, 100):
            came += stream.incoming(data)
        assert came == b"through"


async def test_host_paths_are_shown_where_they_are_and_cannot_be_changed(
    at: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shown = tmp_path_factory.mktemp("shown")
    (shown / "object").write_text("borrowed")
    shown.chmod(0o755)
    sandbox = await at.create(binds=(shown,))
    if Capability.BIND not in at.provider.capabilities:
        assert "No such file" in await sh(sandbox, f"cat {shown}/object")
        return
    assert await run(sandbox, "cat", str(shown / "object")) == "borrowed"
    if at.kind in ("bubblewrap", "docker"):
        assert "Read-only" in await sh(sandbox, f"echo spoiled > {shown}/object; touch {shown}/more")
        assert (shown / "object").read_text() == "borrowed"


async def test_the_estimate_of_what_costs_nothing(at: Place) -> None:
    assert await at.provider.estimate(at.spec()) == 0.0
