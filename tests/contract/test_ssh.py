"""What is SSH's own: keys, configuration, ways to a host, connections that are lost, and what stays there."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rc_protos import ids
from rc_protos.background import Background
from rc_protos.model import LinkState
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_providers.base import SandboxSpec
from rc_providers.ssh.provider import SshProvider
from support.linked import PATIENCE, QUICK, linked, until
from support.sandboxes import DEADLINE, read_all, read_line, run, sh
from support.sshd import SshServer, make_key, person_with, place, ssh_server

pytestmark = [pytest.mark.needs("sshd", "bwrap")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def box(folder: Path) -> Iterator[SshServer]:
    with ssh_server(folder / "box") as server, person_with(folder / "person", server.entry()):
        yield server


@asynccontextmanager
async def provider(folder: Path, target: str = "box") -> AsyncIterator[SshProvider]:
    made = SshProvider(folder / "ssh" / target, target)
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def ssh(box: SshServer, folder: Path) -> AsyncIterator[SshProvider]:
    async with provider(folder) as made:
        yield made
        if box.running:
            for info in await made.list():
                await (await made.attach(info.external_id)).destroy()


def spec(isolation: str = "") -> SandboxSpec:
    return SandboxSpec(ids.new_id(), "here", isolation)


async def refused(made: SshProvider) -> RemoteClaudeError:
    with pytest.raises(RemoteClaudeError) as caught:
        await made.check("")
    return caught.value


def files(home: Path) -> list[str]:
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


# keys


async def test_an_unknown_key_is_accepted_once_by_its_fingerprint(box: SshServer, folder: Path) -> None:
    (folder / "box/known_hosts").unlink()
    async with provider(folder) as made:
        error = await refused(made)
        assert error.code is ErrorCode.PRECONDITION
        assert box.fingerprint in error.message
        assert f"rc provider add ssh:box --accept-key {box.fingerprint}" in error.hint
        with pytest.raises(RemoteClaudeError) as caught:
            await made.add("SHA256:of-somebody-else")
        assert caught.value.code is ErrorCode.CONFLICT
        await refused(made)
        await made.add(box.fingerprint)
        await made.check("")
    async with provider(folder) as again:
        await again.check("")
        await again.remove()
    async with provider(folder) as made:
        assert box.fingerprint in (await refused(made)).message


async def test_a_changed_key_is_refused(box: SshServer, ssh: SshProvider, folder: Path) -> None:
    old = box.public
    await ssh.check("")
    box.stop()
    make_key(folder / "box/host")
    box.start()
    error = await refused(ssh)
    assert error.code is ErrorCode.PRECONDITION
    assert "has changed" in error.message
    assert box.fingerprint in error.message
    with pytest.raises(RemoteClaudeError, match="has changed"):
        await ssh.add(box.fingerprint)
    assert old in (folder / "box/known_hosts").read_text()
    box.trust()
    await ssh.check("")


async def test_a_user_whom_the_host_does_not_know(box: SshServer, folder: Path) -> None:
    async with provider(folder, "nobody-here@box") as made:
        error = await refused(made)
    assert error.code is ErrorCode.UNAUTHENTICATED
    assert "nobody-here" in error.message


async def test_keys_of_the_agent(box: SshServer, ssh: SshProvider, folder: Path) -> None:
    """The file has a passphrase: only the agent can open it."""
    key = folder / "box/user"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(folder / "agent")], stdout=subprocess.DEVNULL)
    try:
        while not (folder / "agent").exists():
            await asyncio.sleep(0.01)
        os.environ["SSH_AUTH_SOCK"] = str(folder / "agent")
        subprocess.run(["ssh-add", "-q", str(key)], check=True)
        subprocess.run(["ssh-keygen", "-q", "-p", "-N", "secret", "-f", str(key)], check=True)
        (folder / "person/.ssh/config").write_text(box.entry("IdentitiesOnly yes"))
        await ssh.check("")
        del os.environ["SSH_AUTH_SOCK"]
        async with provider(folder) as without:
            assert (await refused(without)).code is ErrorCode.UNAUTHENTICATED
        (folder / "person/.ssh/config").write_text(box.entry(f"IdentityAgent {folder}/agent"))
        async with provider(folder) as with_it:
            await with_it.check("")
    finally:
        agent.terminate()
        agent.wait()


# ways


async def test_through_another_host(box: SshServer, folder: Path) -> None:
    with ssh_server(folder / "door", "door") as door:
        config = folder / "person/.ssh/config"
        config.write_text(door.entry() + box.entry("ProxyJump door"))
        async with provider(folder) as made:
            sandbox = await made.create(spec())
            assert await run(sandbox, "echo", "through") == "through\n"
            await sandbox.destroy()
        assert door.connections() == 1
        (folder / "door/known_hosts").unlink()
        async with provider(folder) as made, provider(folder, "door") as of_door:
            error = await refused(made)
            assert f"rc provider add ssh:door --accept-key {door.fingerprint}" in error.hint
            await of_door.add(door.fingerprint)
            await made.check("")
        config.write_text(box.entry("ProxyJump box"))
        async with provider(folder) as made:
            assert "itself" in (await refused(made)).message


async def test_through_a_command(box: SshServer, folder: Path) -> None:
    bridge = "import os,socket,sys,threading;s=socket.create_connection((sys.argv[1],int(sys.argv[2])))\n"
    bridge += "def up():\n while d:=os.read(0,65536): s.sendall(d)\n"
    bridge += "threading.Thread(target=up,daemon=True).start()\nwhile d:=s.recv(65536): os.write(1,d)\n"
    (folder / "bridge.py").write_text(bridge)
    (folder / "person/.ssh/config").write_text(box.entry(f"ProxyCommand python3 {folder}/bridge.py %h %p"))
    async with provider(folder) as made:
        sandbox = await made.create(spec())
        assert await run(sandbox, "echo", "through") == "through\n"
        await sandbox.destroy()


async def test_the_configuration_is_read_with_what_it_includes(box: SshServer, folder: Path) -> None:
    config = folder / "person/.ssh/config"
    config.write_text(f"Include {folder}/more\nMatch host other exec true\n    HostKeyAlias alias\n")
    (folder / "more").write_text(box.entry())
    async with provider(folder) as made:
        await made.check("")
    config.write_text(box.entry().replace("Host box", "Host other") + "    HostKeyAlias alias\n")
    async with provider(folder, "other") as made:
        assert "is not known" in (await refused(made)).message
        (folder / "box/known_hosts").write_text(f"alias {box.public}\n")
        await made.check("")


@pytest.mark.parametrize("target", ["-oProxyCommand=x", "me@", "box:port", "@"])
async def test_what_is_no_host(folder: Path, target: str) -> None:
    async with provider(folder, target) as made:
        assert (await refused(made)).code is ErrorCode.USAGE


async def test_a_host_that_is_not_there(folder: Path) -> None:
    entry = "Host *\n    Port 1\n"
    with person_with(folder / "person", entry):
        for target in ("127.0.0.1", "no-such-host.invalid"):
            async with provider(folder, target) as made:
                error = await refused(made)
                assert error.code is ErrorCode.UNAVAILABLE
                assert target in error.message


# what the host has


async def test_a_host_without_python(box: SshServer, folder: Path) -> None:
    box.stop()
    empty = folder / "empty"
    empty.mkdir()
    box.path = str(empty)
    box.start()
    async with provider(folder) as made:
        error = await refused(made)
    assert error.code is ErrorCode.PRECONDITION
    assert "python3" in error.message
    assert "not found" in error.message
    assert "3.11" in error.hint


async def test_a_host_without_bubblewrap(box: SshServer, ssh: SshProvider, folder: Path) -> None:
    box.stop()
    tools = folder / "tools"
    tools.mkdir()
    for directory in box.path.split(":"):
        for tool in Path(directory).glob("*") if Path(directory).is_dir() else ():
            if tool.name != "bwrap" and not (tools / tool.name).exists():
                (tools / tool.name).symlink_to(tool)
    box.path = str(tools)
    box.start()
    with pytest.raises(RemoteClaudeError, match="bubblewrap"):
        await ssh.create(spec("bubblewrap"))
    sandbox = await ssh.create(spec())
    info = await sandbox.info()
    assert info.isolation == "none"
    assert any("not isolated" in notice for notice in info.notices)
    assert info.workspace.startswith(str(box.home))
    limits = (await sh(sandbox, "cat /proc/self/limits")).splitlines()
    assert [line.split()[-3:-1] for line in limits if "processes" in line] == [["4096", "4096"]]
    await sandbox.destroy()
    assert files(box.home) == []


async def test_a_home_that_cannot_be_written(box: SshServer, ssh: SshProvider) -> None:
    box.home.rmdir()
    box.home.symlink_to("/proc/self")
    assert "cannot be written" in str(await ssh.check(""))
    sandbox = await ssh.create(spec())
    [notice] = [each for each in (await sandbox.info()).notices if "cannot be written" in each]
    place = Path(notice.split(" in ")[1].split(":")[0])
    assert place.is_dir()
    assert await sh(sandbox, 'cd "$RC_WORKSPACE" && touch x && ls') == "x\n"
    await sandbox.destroy()
    assert not place.exists()


async def test_noise_of_the_shell_before_our_words(box: SshServer, ssh: SshProvider) -> None:
    (box.home / ".bashrc").write_text("echo welcome; echo RC-READY 1 >&2; printf 'no end'\n")
    sandbox = await ssh.create(spec())
    assert await run(sandbox, "echo", "heard") == "heard\n"
    await sandbox.destroy()


async def test_a_login_shell_of_another_family(box: SshServer, ssh: SshProvider) -> None:
    box.stop()
    box.settings = [f'ForceCommand exec {place()}/bin/tcsh -c "$SSH_ORIGINAL_COMMAND"']
    box.start()
    sandbox = await ssh.create(spec())
    assert await run(sandbox, "printf", "%s|", "a b", "'\"", "$HOME!x", "new\nline") == "a b|'\"|$HOME!x|new\nline|"
    await sandbox.destroy()


async def test_nothing_is_left_after_the_last_sandbox(box: SshServer, ssh: SshProvider) -> None:
    first, second = await asyncio.gather(ssh.create(spec()), ssh.create(spec()))
    await sh(first, 'cd "$HOME" && mkdir -p a/b && touch a/b/c')
    await first.destroy()
    assert await run(second, "echo", "lives") == "lives\n"
    await second.destroy()
    for _ in range(2):
        await second.destroy()
        assert await ssh.list() == []
    assert files(box.home) == []
    async with asyncio.timeout(DEADLINE):
        while box.commands():
            await asyncio.sleep(0.05)


# the connection


async def test_one_connection_for_everything(box: SshServer, ssh: SshProvider) -> None:
    made = await asyncio.gather(*(ssh.create(spec()) for _ in range(3)))
    said = await asyncio.gather(*(run(sandbox, "echo", str(n)) for n, sandbox in enumerate(made)))
    assert said == ["0\n", "1\n", "2\n"]
    assert box.connections() == 1


async def test_more_streams_than_a_connection_may_have(box: SshServer, ssh: SshProvider) -> None:
    """sshd takes ten sessions on each (MaxSessions)."""
    sandbox = await ssh.create(spec())
    streams = [await sandbox.open(["cat"]) for _ in range(12)]
    for number, stream in enumerate(streams):
        await stream.write(b"%d\n" % number)
    assert [await read_line(stream) for stream in streams] == [b"%d\n" % number for number in range(12)]
    for stream in streams:
        await stream.close()
    assert box.connections() == 2


async def test_a_cut_ends_streams_and_nothing_else(box: SshServer, ssh: SshProvider) -> None:
    sandbox = await ssh.create(spec())
    stream = await sandbox.open(["/bin/sh", "-c", 'setsid sh -c "echo up; exec sleep 1000" & cat'])
    await read_line(stream)
    box.cut()
    assert await read_all(stream) == b""
    await stream.close()
    assert "sleep 1000" in await sh(sandbox, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert box.connections() == 2


async def test_a_server_that_is_away_and_comes_back(box: SshServer, ssh: SshProvider) -> None:
    sandbox = await ssh.create(spec())
    box.stop()
    for call in (sandbox.info, lambda: sandbox.open(["true"])):
        with pytest.raises(RemoteClaudeError) as caught:
            await call()
        assert caught.value.code is ErrorCode.UNAVAILABLE
    box.start()
    assert await run(sandbox, "echo", "back") == "back\n"


async def test_a_peer_that_stops_reading_holds_only_its_own_stream(box: SshServer, ssh: SshProvider) -> None:
    sandbox = await ssh.create(spec())
    stuck = await sandbox.open(["sleep", "1000"])
    data = random.Random(5).randbytes(1 << 20)

    async def flood() -> None:
        while True:
            await stuck.write(data)

    async with Background("test") as background:
        background.spawn(flood(), "flood")
        await asyncio.sleep(0.5)
        echo = await sandbox.open(["cat"])
        await echo.write(data)
        await echo.close_write()
        assert await read_all(echo) == data
        await echo.close()
    await stuck.close()
    assert box.connections() == 1


async def test_what_has_ended_leaves_no_process_and_no_thread(box: SshServer, ssh: SshProvider) -> None:
    sandbox = await ssh.create(spec())
    for way in ("end", "close", "flood"):
        stream = await sandbox.open(["true"] if way == "end" else ["sleep", "1000"] if way == "flood" else ["cat"])
        if way == "end":
            await read_all(stream)
        if way == "flood":
            async with Background("test") as background:
                background.spawn(stream.write(bytes(8 << 20)), "flood")
                await asyncio.sleep(0.5)
        await stream.close()
    await sh(sandbox, "kill $(grep -l sleep /proc/[0-9]*/comm | grep -o '[0-9]*')")
    name = f"ssh {(await sandbox.info()).external_id}"
    async with asyncio.timeout(DEADLINE):
        while box.commands() or name in [each.name for each in threading.enumerate()]:
            await asyncio.sleep(0.05)


async def test_a_frozen_host_is_noticed_and_comes_back() -> None:
    async with linked("ssh", timing=QUICK) as given:
        server = given.place.server
        assert server is not None
        await given.link.up(PATIENCE)
        await given.open("s", "/bin/sh", "-c", "read line; echo $line")
        server.freeze(True)
        await until(lambda: given.link.state is LinkState.DOWN)
        server.freeze(False)
        await given.type("s", b"thawed\n")
        async for message in given.attach("s"):
            if b"thawed" in message.data.data:
                break
        assert given.link.reconnects == 1


async def test_a_host_that_does_not_answer_delays_nobodys_end(box: SshServer, folder: Path) -> None:
    box.freeze(True)
    made = SshProvider(folder / "ssh/box", "box")
    asking = made.blocking(lambda: made.host.ask(do="check", isolation=""))
    await asyncio.sleep(0.2)
    await made.close()
    asking.cancel()
    box.freeze(False)
