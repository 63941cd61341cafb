"""`rc-agent connect`: bring the stream on stdin and stdout to the agent, starting it if need be. Light imports only."""

from __future__ import annotations

import _socket
import array
import os
import select
import stat
import time

from rc_agent import home
from rc_agent.frames import pack
from rc_protos.stream.boot import RAW, failed_line, ready_line

_START = 30.0
_AGAIN = 0.02
_AGAIN_MOST = 0.3
# What a started agent says on the descriptor RC_READY_FD; nothing means that it failed.
SERVING = b"1"
ANOTHER_SERVES = b"0"
_LOG_TAIL = 600
_LOG_MOST = 1 << 20


class Failed(Exception):
    """The agent could not be reached or started."""


def connect(nonce: str = "", wire: str = RAW) -> int:
    """Connect, then be nothing but a pipe, or not even that."""
    try:
        directory = home.state_directory()
        if wire == RAW and _one_socket():
            _reach(directory, lambda: _hand_over(directory, ready_line(nonce)))
            return 0
        agent = _reach(directory, lambda: _dial(directory, home.GRPC_SOCKET))
    except (Failed, home.NoHome) as error:
        _write_all(1, failed_line(nonce, str(error)))
        return 1
    _write_all(1, ready_line(nonce))
    from rc_agent.pump import pump, pump_framed

    pump(agent) if wire == RAW else pump_framed(agent)
    return 0


def _one_socket() -> bool:
    """Whether stdin and stdout are one and the same socket."""
    ends = os.fstat(0), os.fstat(1)
    return stat.S_ISSOCK(ends[0].st_mode) and (ends[0].st_dev, ends[0].st_ino) == (ends[1].st_dev, ends[1].st_ino)


def _reach(directory: str, attempt):  # type: ignore[no-untyped-def]
    """What `attempt` gives once an agent runs; starts one when nobody answers."""
    deadline = time.monotonic() + _START
    pause = _AGAIN
    while True:
        try:
            result = attempt()
        except OSError as error:
            result, reason = None, str(error)
        else:
            reason = "it is being replaced"
        if result is not None:
            return result
        if time.monotonic() >= deadline:
            raise Failed(f"the agent does not answer: {reason}")
        if not _start(directory, deadline):
            time.sleep(pause)
            pause = min(pause * 2, _AGAIN_MOST)


def _dial(directory: str, name: str) -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    sock.connect(home.socket_address(directory, name))
    return sock


def _hand_over(directory: str, ready: bytes) -> bool | None:
    """Give our stdin away; None if the agent steps down for ours first."""
    control = _dial(directory, home.HAND_SOCKET)
    control.settimeout(10.0)
    message = pack({"ready": ready, "bundle": home.bundle_digest()})
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0]))
    control.sendmsg([message], [rights])
    answer = control.recv(1)
    if not answer:
        raise ConnectionResetError("the agent hung up")
    return True if answer == b"k" else None


def _start(directory: str, deadline: float) -> bool:
    """Start an agent of its own session and wait until it serves; False if another one was first."""
    read, write = os.pipe()
    log = f"{directory}/{home.LOG_FILE}"
    if os.path.exists(log) and os.path.getsize(log) > _LOG_MOST:
        os.rename(log, log + ".old")
    argv = home.interpreter("-S", "-E")
    argv[-1] += "from rc_agent.main import main; main()"
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        (os.POSIX_SPAWN_DUP2, write, 3),
    ]
    environment = {**os.environ, "RC_STATE": directory, "RC_READY_FD": "3"}
    os.posix_spawn(argv[0], [*argv, "serve"], environment, file_actions=actions, setsid=True)
    os.close(write)
    poll = select.poll()
    poll.register(read, select.POLLIN)
    try:
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise Failed("the agent was started and does not get ready")
        word = os.read(read, 1)
        if not word:
            raise Failed(f"the agent does not start: {log_tail(directory)}")
        return word == SERVING
    finally:
        os.close(read)


def log_tail(directory: str) -> str:
    """The last words of the agent's log, in one line."""
    try:
        with open(f"{directory}/{home.LOG_FILE}", "rb") as file:
            file.seek(max(0, os.path.getsize(file.name) - _LOG_TAIL))
            return " / ".join(file.read().decode("utf-8", "replace").split("\n")[-6:]).strip(" /")
    except OSError:
        return ""


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
