"""The one file that knows the operating system: locks, processes, unix sockets.

Standard library only, light imports.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

LINUX = sys.platform == "linux"
# struct sockaddr_un holds 108 bytes on Linux and 104 on macOS, the final zero included.
_LONGEST_SOCKET = 100
# struct ucred: pid, uid, gid.
_CREDENTIALS = struct.Struct("3i")


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """A name for a unix socket that is short enough for the kernel, valid inside the block."""
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        yield str(path)
        return
    with _short_directory(path.parent) as directory:
        yield f"{directory}/{path.name}"


@contextmanager
def socket_itself(path: Path) -> Iterator[str]:
    """As `socket_address`, for a directory that somebody hostile writes to: raises OSError unless a socket is there.

    A symbolic link is not followed: it could lead a trusting caller to any socket of the user's.
    """
    if not LINUX:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), str(path))
        with socket_address(path) as address:
            yield address
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), str(path))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def read_end(path: Path, most: int) -> bytes:
    """The last bytes of a file that somebody hostile writes to; empty for anything but a plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        found = os.fstat(descriptor)
        return os.pread(descriptor, most, max(0, found.st_size - most)) if stat.S_ISREG(found.st_mode) else b""
    finally:
        os.close(descriptor)


def pair_with_pids() -> tuple[socket.socket, socket.socket]:
    """A socket pair; `receive_with_pid` on the first end tells who wrote to the second."""
    ours, theirs = socket.socketpair()
    if LINUX:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return ours, theirs


def receive_with_pid(connection: socket.socket, most: int) -> tuple[bytes, int]:
    """What somebody wrote, and the writer's pid in our own numbering: 0 where the system does not tell."""
    if not LINUX:
        return connection.recv(most), 0
    data, beside, _, _ = connection.recvmsg(most, socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, content in beside:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return data, int(_CREDENTIALS.unpack(content)[0])
    return data, 0


def since_boot() -> float:
    """Seconds since this machine was started, its sleep included on Linux; no setting of a clock moves it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if LINUX else time.monotonic()


def boot_id() -> str:
    """Names the time since the machine was started; empty where the system does not tell."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    return ""


def lock(path: Path) -> int | None:
    """Take an exclusive lock, held as long as the descriptor is open; None when somebody else has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Whoever had it may have removed the file since: the next one locks another.
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    os.close(descriptor)
    return None


def spawn_detached(
    argv: Sequence[str], environment: Mapping[str, str], log: Path, *, keep: Sequence[int] = (), cwd: str = "/"
) -> int:
    """Start a process of its own session that outlives us, its output in `log`; its pid.

    Descriptors in `keep` stay open in it under the same numbers.
    """
    import subprocess

    with open(log, "ab", buffering=0) as output:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(environment),
            cwd=cwd,
            pass_fds=tuple(keep),
            start_new_session=True,
        )
    # It is meant to outlive this object: no warning about that when the object goes.
    process.returncode = 0
    return process.pid


def reap(pid: int) -> None:
    """Collect an ended child, if it is one of ours and has ended."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def start_time(pid: int) -> str:
    """What tells a process from a later one with the same number; empty when there is no such process."""
    if LINUX:
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return ""
        # A zombie runs no more; field 22 of stat(5), counted from after the name.
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    import subprocess

    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()


def alive(pid: int, started: str) -> bool:
    """Whether this very process runs."""
    return pid > 0 and bool(started) and start_time(pid) == started


def descendants(pid: int) -> list[int]:
    """Every process below this one, children before their own children."""
    children: dict[int, list[int]] = {}
    for each, parent in _parents():
        children.setdefault(parent, []).append(each)
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for each in level for child in children.get(each, [])]
        found += level
    return found


def with_environment(entry: str) -> list[int]:
    """Processes of ours that were started with this NAME=value in their environment (Linux; elsewhere none)."""
    if not LINUX:
        return []
    wanted = entry.encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with suppress(OSError):
            if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.append(int(name))
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; a process that has ended is fine."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def wait_gone(pid: int, started: str, timeout: float) -> bool:
    """Wait for the end of this very process; False when it still runs at the deadline."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while alive(pid, started):
        reap(pid)
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    reap(pid)
    return True


def resident_bytes(pid: int | None = None) -> int:
    """Memory of a process in RAM; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _short_directory(directory: Path) -> Iterator[str]:
    if LINUX:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rc", dir="/tmp") as made:  # TMPDIR is long on macOS
        os.symlink(directory, f"{made}/d")
        yield f"{made}/d"


def _parents() -> Iterator[tuple[int, int]]:
    if not LINUX:
        yield from _parents_by_ps()
        return
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b")")[2].split()
                yield int(name), int(fields[1])


def _parents_by_ps() -> Iterator[tuple[int, int]]:
    import subprocess

    listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        pid, parent = line.split()
        yield int(pid), int(parent)
