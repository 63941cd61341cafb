"""The daemon as a process: one per installation, private, quiet, killed and back."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, closing
from pathlib import Path

import pytest

from rc_client import DaemonClient
from rc_client.start import ensure
from rc_daemon.store.store import Store
from rc_protos import platform
from rc_protos.background import Background
from rc_protos.errors import ErrorCode, RemoteClaudeError
from support.daemon import DEADLINE, DaemonProcess
from support.readonly import read_only


def refused(home: DaemonProcess) -> tuple[int, str]:
    """A daemon that must not start: its exit code and the one thing it says."""
    process = home.spawn()
    out, err = process.communicate(timeout=DEADLINE)
    assert out == ""
    assert "Traceback" not in err
    return process.returncode, err


def add_events(home: DaemonProcess, count: int) -> None:
    """Write to the log in a daemon's stead: with its lock, for a registry has one writer."""

    async def write() -> None:
        store = await Store.open(f"sqlite:///{home.places.registry}")
        for _ in range(count):
            await store.transact(lambda tx: tx.append("notice", "t1"))
        await store.close()

    deadline = time.monotonic() + DEADLINE
    while (held := platform.lock(home.places.lock_file)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    asyncio.run(write())
    os.close(held)


async def test_a_second_daemon_leaves_the_first_alone(daemon: DaemonProcess) -> None:
    sockets = [path.stat().st_ino for path in (daemon.places.grpc_socket, daemon.places.json_socket)]
    async with await DaemonClient.connect(start=False) as client:
        before = await client.get_status()
        code, said = await asyncio.to_thread(refused, daemon)
        assert (code, len(said.splitlines())) == (0, 1)
        assert "another daemon" in said
        assert (await client.get_status()).pid == before.pid == daemon.pid
    assert sockets == [path.stat().st_ino for path in (daemon.places.grpc_socket, daemon.places.json_socket)]


async def test_it_says_nothing_and_stops_when_told(daemon: DaemonProcess) -> None:
    async with await DaemonClient.connect(start=False) as client:
        await client.create_task(daemon.spec())
    assert await asyncio.to_thread(daemon.stop) == (0, "", "")
    assert "serving" in daemon.log()
    assert daemon.log().rstrip().endswith("stopped")
    with closing(sqlite3.connect(daemon.places.registry)) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_it_stops_when_a_client_says_so(daemon: DaemonProcess) -> None:
    async with await DaemonClient.connect(start=False) as client:
        await client.stop_daemon()
    async with asyncio.timeout(DEADLINE):
        while daemon.running:
            await asyncio.sleep(0.01)


async def test_killed_and_back_with_everything(daemon: DaemonProcess) -> None:
    async with await DaemonClient.connect(start=False) as client:
        task, _ = await client.create_task(daemon.spec(name="kept"))
        installation = (await client.get_status()).daemon_id
    for _ in range(3):
        await asyncio.to_thread(daemon.kill)
        assert daemon.places.grpc_socket.exists(), "a stale socket is what is tested here"
        await asyncio.to_thread(daemon.start)
        async with await DaemonClient.connect(start=False) as client:
            assert (await client.get_task("kept")).id == task.id
            assert (await client.get_status()).daemon_id == installation


async def test_nobody_else_may_look(daemon: DaemonProcess) -> None:
    places = daemon.places
    for path in (places.runtime, places.data, places.config, places.cache, places.log):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    for path in (places.grpc_socket, places.json_socket, places.registry, places.log_file, places.lock_file):
        assert stat.S_IMODE(path.stat().st_mode) & 0o177 == 0, path


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_runtime_directory_that_others_may_enter_is_refused(home: DaemonProcess, mode: int) -> None:
    home.places.runtime.mkdir()
    home.places.runtime.chmod(mode)
    code, said = refused(home)
    assert code == RemoteClaudeError("", code=ErrorCode.PERMISSION).border.exit
    assert str(home.places.runtime) in said
    assert "chmod 700" in said
    assert not home.places.grpc_socket.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_runtime_directory_of_somebody_else_is_refused(home: DaemonProcess) -> None:
    home.places.runtime.mkdir(mode=0o700)
    os.chown(home.places.runtime, 12345, 12345)
    code, said = refused(home)
    assert code == RemoteClaudeError("", code=ErrorCode.PERMISSION).border.exit
    assert str(home.places.runtime) in said


def test_a_home_that_cannot_be_written_is_told(home: DaemonProcess) -> None:
    (home.home / "file").write_text("")
    home.environment["RC_HOME"] = str(home.home / "file" / "below")
    code, said = refused(home)
    assert code == RemoteClaudeError("", code=ErrorCode.USAGE).border.exit
    assert "RC_HOME" in said


def test_a_home_that_is_read_only_is_told(home: DaemonProcess) -> None:
    with read_only(home.home):
        code, said = refused(home)
    assert code == RemoteClaudeError("", code=ErrorCode.USAGE).border.exit
    assert str(home.home) in said


def test_a_broken_setting_is_named(home: DaemonProcess) -> None:
    home.places.config.mkdir()
    (home.places.config / "config.toml").write_text('agnet = "demo"\n')
    code, said = refused(home)
    assert code == RemoteClaudeError("", code=ErrorCode.USAGE).border.exit
    assert "config.toml" in said
    assert "agent" in said


def test_a_registry_of_a_newer_rc_is_refused(home: DaemonProcess) -> None:
    home.start()
    home.stop()
    with closing(sqlite3.connect(home.places.registry)) as plain, plain:
        plain.execute("INSERT INTO schema_version VALUES (99, 0)")
    code, said = refused(home)
    assert code == RemoteClaudeError("", code=ErrorCode.PRECONDITION).border.exit
    assert "newer rc" in said


async def test_a_client_tells_why_the_daemon_does_not_start(home: DaemonProcess) -> None:
    home.places.config.mkdir()
    (home.places.config / "config.toml").write_text("half = ")
    with pytest.raises(RemoteClaudeError) as caught:
        await asyncio.to_thread(ensure)
    assert caught.value.code is ErrorCode.UNAVAILABLE
    assert "config.toml" in caught.value.message


async def test_many_clients_start_one_daemon(home: DaemonProcess) -> None:
    code = (
        "import asyncio\n"
        "from rc_client import DaemonClient\n"
        "async def main():\n"
        "    async with await DaemonClient.connect() as client:\n"
        "        print((await client.get_status()).pid)\n"
        "asyncio.run(main())\n"
    )
    clients = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = [await asyncio.to_thread(each.communicate, timeout=2 * DEADLINE) for each in clients]
    pids = {int(out) for out, _ in said if out}
    assert len(pids) == 1, said
    assert all(out for out, _ in said), said
    (pid,) = pids
    started = platform.start_time(pid)
    os.kill(pid, signal.SIGTERM)
    assert await asyncio.to_thread(platform.wait_gone, pid, started, DEADLINE)


@pytest.fixture
async def seen() -> AsyncIterator[list[int]]:
    """What a watcher saw, while it watches in the background of the test."""
    found: list[int] = []

    async def watch() -> None:
        async with await DaemonClient.connect() as client, aclosing(client.watch_events()) as events:
            async for event in events:
                found.append(event.seq)

    async with Background("test") as background:
        background.spawn(watch(), "watch")
        yield found


async def test_a_watcher_misses_nothing_over_kills(daemon: DaemonProcess, seen: list[int]) -> None:
    """Events before, between and after four kills, some written while no daemon ran."""
    async with await DaemonClient.connect(start=False) as client:
        for number in range(4):
            await client.create_task(daemon.spec(name=f"task-{number}"))
            await asyncio.sleep(0.05 * number)
            await asyncio.to_thread(daemon.kill)
            # More than a page of the watcher.
            await asyncio.to_thread(add_events, daemon, 600)
            await asyncio.to_thread(daemon.start)
        _, last = await client.list_events(limit=1)
    async with asyncio.timeout(DEADLINE):
        while not seen or seen[-1] < last:
            await asyncio.sleep(0.02)
    assert seen == list(range(1, seen[-1] + 1))
    assert last > 2400


def test_the_log_is_rotated(tmp_path: Path) -> None:
    code = (
        "import logging, sys\n"
        "from pathlib import Path\n"
        "from rc_daemon import process\n"
        "process.LOG_BYTES = 2000\n"
        "process._log_to(Path(sys.argv[1]))\n"
        "[logging.getLogger('x').info('line %d', number) for number in range(2000)]\n"
    )
    path = tmp_path / "daemon.log"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=DEADLINE)
    assert "line 1999" in path.read_text()
    assert len(list(tmp_path.iterdir())) == 4
    assert sum(each.stat().st_size for each in tmp_path.iterdir()) < 8100
