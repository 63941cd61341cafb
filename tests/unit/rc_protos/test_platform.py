from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rc_protos import platform

LONG = "d" * 120


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child of its own that says when it is there."""
    script = "sleep 600 & echo up; wait"
    with subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, env={"RC_MARK": "x 1", **os.environ}
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        below = platform.descendants(process.pid)
        yield process
        for pid in (process.pid, *below):
            platform.kill(pid)
        process.wait(60)


@pytest.mark.parametrize("folder", ["d", LONG])
def test_a_socket_is_reached_whatever_the_length_of_its_path(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "daemon.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as caller:
        with platform.socket_address(path) as address:
            listener.bind(address)
        listener.listen()
        with platform.socket_itself(path) as address:
            caller.connect(address)
        assert path.is_socket()


def test_a_planted_link_is_not_taken_for_the_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "precious.sock"))
        (tmp_path / "planted").symlink_to(tmp_path / "precious.sock")
        (tmp_path / "file").touch()
        for name in ("planted", "file", "missing"):
            with pytest.raises(OSError), platform.socket_itself(tmp_path / name):  # noqa: PT011
                pass


def test_the_end_of_a_file_is_read_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "log")
    os.mkfifo(tmp_path / "fifo")
    assert platform.read_end(tmp_path / "log", 4) == b"6789"
    assert platform.read_end(tmp_path / "log", 99) == b"0123456789"
    assert [platform.read_end(tmp_path / name, 4) for name in ("link", "fifo", ".", "missing")] == [b""] * 4


def test_a_lock_is_held_by_one_and_given_up_by_death(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        f"from pathlib import Path; from rc_protos import platform as p; print(p.lock(Path({str(path)!r})), flush=True)"
    )
    argv = [sys.executable, "-c", code + "; input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() != b"None"
        assert platform.lock(path) is None
        holder.kill()
        holder.wait(60)
    descriptor = platform.lock(path)
    assert descriptor is not None
    # Whoever removes the file makes room for another: the old one is no lock any more.
    path.unlink()
    other = platform.lock(path)
    assert other is not None
    os.close(descriptor)
    os.close(other)


@pytest.mark.skipif(not platform.LINUX, reason="elsewhere the system does not tell")
def test_the_writer_of_a_message_is_known() -> None:
    ours, theirs = platform.pair_with_pids()
    with ours, theirs, subprocess.Popen(["sh", "-c", "printf hi"], stdout=theirs) as writer:
        assert platform.receive_with_pid(ours, 99) == (b"hi", writer.pid)


def test_a_detached_process_has_its_own_session_its_log_and_its_place(tmp_path: Path) -> None:
    read, write = os.pipe()
    code = f"""if True:
        import os
        print("to the log", os.getcwd(), flush=True)
        os.write({write}, f"{{os.getsid(0)}} {{os.environ['VAR']}}".encode())
        raise SystemExit("and this")"""
    argv = [sys.executable, "-I", "-S", "-c", code]
    pid = platform.spawn_detached(argv, {"VAR": "v"}, tmp_path / "log", keep=[write])
    started = platform.start_time(pid)
    os.close(write)
    with open(read) as answer:
        assert answer.read() == f"{pid} v"
    assert platform.wait_gone(pid, started, 60)
    assert (tmp_path / "log").read_text() == "to the log /\nand this\n"


def test_a_process_is_told_from_a_later_one_with_its_number(child: subprocess.Popen[bytes]) -> None:
    started = platform.start_time(child.pid)
    assert platform.alive(child.pid, started)
    assert not platform.alive(child.pid, started + "1")
    assert not platform.wait_gone(child.pid, started, 0.01)
    platform.kill(child.pid)
    # A zombie is gone, and is collected.
    assert platform.wait_gone(child.pid, started, 60)
    assert platform.start_time(child.pid) == ""
    assert not platform.alive(child.pid, "")
    platform.kill(child.pid)


def test_descendants_and_the_bearers_of_a_variable_are_found(child: subprocess.Popen[bytes]) -> None:
    (below,) = platform.descendants(child.pid)
    assert {child.pid, below} <= set(platform.descendants(os.getpid()))
    if platform.LINUX:
        assert set(platform.with_environment("RC_MARK=x 1")) == {child.pid, below}
        assert platform.with_environment("RC_MARK=x") == []


def test_memory_is_told_in_bytes() -> None:
    if platform.LINUX:
        assert platform.resident_bytes() > 1 << 20
        assert platform.resident_bytes(1 << 30) == 0
