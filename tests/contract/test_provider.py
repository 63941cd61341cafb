"""What every provider promises; a new one joins by a line in support/sandboxes.py."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import socket
from collections.abc import AsyncIterator

import pytest

from rc_protos import ids
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_providers.base import ByteStream, Capability, Presence, Sandbox
from support.sandboxes import DEADLINE, Place, place, read_all, read_line, run, sh

IDLE_SECONDS = 60
# Between their two ends there is nothing that could lose patience.
WITHOUT_NETWORK = ("bubblewrap", "none", "fake")
WITH_BWRAP = pytest.param("bubblewrap", marks=pytest.mark.needs("bwrap"))
WITH_DOCKER = pytest.param("docker", marks=pytest.mark.needs("docker"))
WITH_SSH = pytest.param("ssh", marks=pytest.mark.needs("sshd", "bwrap"))


@pytest.fixture(params=[WITH_BWRAP, "none", "fake", WITH_DOCKER, WITH_SSH])
async def at(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    async with place(request.param) as found:
        yield found


@pytest.fixture
async def sandbox(at: Place) -> Sandbox:
    return await at.create()


async def test_a_sandbox_says_what_it_is(at: Place) -> None:
    tag = ids.new_id()
    info = await (await at.create(tag)).info()
    assert (info.tag, info.installation, info.presence) == (tag, at.installation, Presence.RUNNING)
    assert info.external_id
    assert info.workspace.startswith("/")
    assert info.home.startswith("/")
    assert info.isolation


async def test_the_same_tag_is_the_same_sandbox(at: Place) -> None:
    tag = ids.new_id()
    made = await asyncio.gather(*(at.create(tag) for _ in range(4)))
    assert len({(await each.info()).external_id for each in made}) == 1
    assert len(await at.provider.list(at.installation)) == 1


async def test_found_by_installation_and_by_id(at: Place) -> None:
    mine = await (await at.create()).info()
    assert mine.external_id in [info.external_id for info in await at.provider.list()]
    assert [info.tag for info in await at.provider.list(at.installation)] == [mine.tag]
    assert await at.provider.list(ids.new_id()) == []
    assert await (await at.provider.attach(mine.external_id)).info() == mine


async def test_what_is_not_there_is_not_found(at: Place) -> None:
    for wrong in (ids.new_id(), "f" * 64, "..", "a/b", ""):
        with pytest.raises(RemoteClaudeError) as caught:
            await at.provider.attach(wrong)
        assert caught.value.code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("tag", ["", "../up", "a/b", ".", ".."])
async def test_a_tag_is_no_path(at: Place, tag: str) -> None:
    spec = at.spec("x")
    with pytest.raises(RemoteClaudeError) as caught:
        await at.provider.create(type(spec)(tag, spec.installation, spec.isolation))
    assert caught.value.code is ErrorCode.USAGE


# What breaks streams that think of text, of lines or of terminals.
AWKWARD = {
    "every byte": bytes(range(256)) * 3,
    "replacement characters": b"abc" + b"\xef\xbf\xbd" * 5000 + b"xyz",
    "an end that is no text": b"head\x00\x01\xff\xfe\xfd",
    "terminal control": b"\x03\x04\x11\x13\x1a\r\n\r\x1b[2J\x7f",
    "a frame's head": b"\x01\x00\x00\x00\x00\x00\x00\x05\x02",
}


@pytest.mark.parametrize("data", AWKWARD.values(), ids=AWKWARD.keys())
async def test_every_byte_passes_both_ways_and_half_closing_ends_stdin(sandbox: Sandbox, data: bytes) -> None:
    stream = await sandbox.open(["cat"])
    await stream.write(data)
    # Before the end: nothing may be held back until more comes.
    came = b""
    async with asyncio.timeout(DEADLINE):
        while len(came) < len(data):
            came += await stream.read()
    assert came == data
    await stream.close_write()
    assert await read_all(stream) == b""
    await stream.close()


async def test_many_mebibytes_both_ways_at_once(sandbox: Sandbox) -> None:
    block = random.Random(3).randbytes(1 << 20)
    stream = await sandbox.open(["cat"])

    async def send() -> None:
        for number in range(64):
            await stream.write(bytes([number]) + block)
        await stream.close_write()

    wanted, came = hashlib.sha256(), hashlib.sha256()
    for number in range(64):
        wanted.update(bytes([number]) + block)
    async with Background("test") as background, asyncio.timeout(90):
        sending = background.spawn(send(), "send")
        while data := await stream.read():
            came.update(data)
        await sending
    assert came.digest() == wanted.digest()
    await stream.close()


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


async def test_a_cut_in_the_middle_ends_the_reader_and_not_the_sandbox(sandbox: Sandbox) -> None:
    stream = await sandbox.open(["/bin/sh", "-c", "while :; do echo more; done"])
    await read_line(stream)
    await stream.close()
    assert await stream.read() == b""
    assert await run(sandbox, "echo", "alive") == "alive\n"


@pytest.mark.slow
async def test_a_stream_that_is_idle_stays(at: Place, sandbox: Sandbox) -> None:
    stream = await sandbox.open(["cat"])
    await asyncio.sleep(0 if at.kind in WITHOUT_NETWORK else IDLE_SECONDS)
    await stream.write(b"still here\n")
    assert await read_line(stream) == b"still here\n"
    await stream.close()


async def test_streams_at_the_same_time_do_not_mix(sandbox: Sandbox) -> None:
    said = await asyncio.gather(*(run(sandbox, "echo", f"number {each}") for each in range(20)))
    assert said == [f"number {each}\n" for each in range(20)]


async def test_a_closed_stream_ends_its_reader_and_its_process(sandbox: Sandbox) -> None:
    stream = await sandbox.open(["/bin/sh", "-c", 'echo $$; cat; echo over > "$RC_WORKSPACE/over"'])
    await read_line(stream)
    async with Background("test") as background, asyncio.timeout(DEADLINE):
        reading = background.spawn(stream.read(), "read")
        await asyncio.sleep(0.01)
        await stream.close()
        assert await reading == b""
        while "over" not in await sh(sandbox, 'ls "$RC_WORKSPACE"'):
            await asyncio.sleep(0.02)
    with pytest.raises(RemoteClaudeError):
        await stream.write(b"x")


async def test_a_command_that_is_not_there_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(RemoteClaudeError) as caught:
        await sandbox.open(["no-such-command-anywhere"])
    assert caught.value.code is ErrorCode.NOT_FOUND
    assert "no-such-command-anywhere" in caught.value.message


async def test_arguments_arrive_as_they_are(sandbox: Sandbox) -> None:
    words = ["a b", "", "-x", "$HOME", "new\nline", "🙂", "'\""]
    assert await run(sandbox, "printf", r"%s\0", *words) == "".join(f"{word}\0" for word in words)


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


async def test_a_process_outlives_its_stream(sandbox: Sandbox) -> None:
    stream = await sandbox.open(["/bin/sh", "-c", "setsid sh -c 'echo $$; exec sleep 1000' </dev/null 2>&1 & wait"])
    pid = (await read_line(stream)).decode().strip()
    await stream.close()
    assert await sh(sandbox, f"kill -0 {pid} && echo lives") == "lives\n"


async def test_stopping_ends_every_process_and_keeps_the_files(at: Place, sandbox: Sandbox) -> None:
    await sh(sandbox, 'echo kept > "$RC_WORKSPACE/file"; echo also > "$HOME/file"')
    script = "trap '' TERM HUP; (trap '' TERM HUP; setsid sleep 1001 & sleep 1002) & echo up; sleep 1003"
    stream = await sandbox.open(["/bin/sh", "-c", script])
    await read_line(stream)
    await sandbox.stop()
    assert await stream.read() == b""
    assert (await sandbox.info()).presence is Presence.STOPPED
    with pytest.raises(RemoteClaudeError) as caught:
        await sandbox.open(["true"])
    assert caught.value.code is ErrorCode.UNAVAILABLE
    await sandbox.stop()
    for _ in range(2):
        await sandbox.start()
    assert (await sandbox.info()).presence is Presence.RUNNING
    assert await sh(sandbox, 'cat "$RC_WORKSPACE/file" "$HOME/file"') == "kept\nalso\n"
    assert "sleep" not in await sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o 'sleep 100[123]'")
    await stream.close()


async def test_destroying_leaves_nothing_and_may_be_repeated(at: Place, sandbox: Sandbox) -> None:
    info = await sandbox.info()
    await sh(
        sandbox,
        'cd "$RC_WORKSPACE" && mkdir -p shut/inner && touch shut/inner/file && ln -s / root && chmod 0 shut/inner shut',
    )
    stream = await sandbox.open(["/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"])
    await read_line(stream)
    for _ in range(2):
        await sandbox.destroy()
    assert await stream.read() == b""
    assert await at.provider.list(at.installation) == []
    assert not at.provider.root.exists() or not any(info.tag in name for name in os.listdir(at.provider.root))
    with pytest.raises(RemoteClaudeError) as caught:
        await at.provider.attach(info.external_id)
    assert caught.value.code is ErrorCode.NOT_FOUND
    for call in (sandbox.info, sandbox.start, lambda: sandbox.open(["true"])):
        with pytest.raises(RemoteClaudeError):
            await call()
    await stream.close()


async def test_destroying_a_stopped_sandbox(at: Place, sandbox: Sandbox) -> None:
    await sandbox.stop()
    await sandbox.destroy()
    assert await at.provider.list(at.installation) == []


async def test_stderr_is_in_the_log_and_not_in_the_stream(sandbox: Sandbox) -> None:
    assert await run(sandbox, "/bin/sh", "-c", "echo out; echo reason >&2") == "out\n"
    assert "reason" in await sandbox.logs()


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
