"""Starting a holder: its specification goes through a pipe, never into argv or onto disk."""

from __future__ import annotations

import fcntl
import os
import select
import subprocess
import time
from typing import Any

from rc_agent.errors import from_errno
from rc_agent.frames import BadFrame, pack, unpack
from rc_agent.home import bundle_root, interpreter, workspace
from rc_agent.sessions.store import DEFAULT_CAP, LOCK
from rc_protos import errors
from rc_protos.v1 import session_pb2 as pb

_START = 20.0
_MAIN = "from rc_agent.holder.main import main; main()"
# What belongs to the agent itself and not to what runs in its sessions.
_OWN_VARIABLES = ("RC_FAILPOINT", "RC_FAILPOINT_LOG", "RC_READY_FD")


def start_holder(directory: str, request: pb.OpenSessionRequest) -> None:
    """Start the holder and wait until its process runs; blocks for some milliseconds."""
    lock = os.open(f"{directory}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        *prefix, imports = interpreter("-I", "-S")
        starter = subprocess.Popen(
            [*prefix, imports + _MAIN],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[lock],
            start_new_session=True,
            cwd="/",
            env={},
        )
    finally:
        os.close(lock)
    assert starter.stdin is not None
    assert starter.stdout is not None
    with starter.stdout, starter.stdin:
        starter.stdin.write(pack(_spec(directory, request, lock)))
        starter.stdin.close()
        answer = _read_answer(starter.stdout.fileno())
    # It has passed everything on to the real holder, which is nobody's child.
    starter.wait(_START)
    if "error" in answer:
        raise from_errno(answer["error"], answer["step"].decode("utf-8", "surrogateescape"))


def session_environment(request: pb.OpenSessionRequest) -> dict[bytes, bytes]:
    """The agent's environment, what the session needs to know, and what the caller added."""
    environment = {key: value for key, value in os.environb.items() if os.fsdecode(key) not in _OWN_VARIABLES}
    environment[b"RC_BUNDLE"] = os.fsencode(bundle_root())
    if request.pty:
        environment[b"TERM"] = b"xterm-256color"
    environment.update((key.encode(), value) for key, value in request.environment.items())
    environment[b"RC_SESSION"] = request.session_id.encode()
    return environment


def _spec(directory: str, request: pb.OpenSessionRequest, lock: int) -> dict[str, object]:
    return {
        "home": directory,
        "lock": lock,
        "argv": list(request.argv),
        "environment": {os.fsdecode(key): value for key, value in session_environment(request).items()},
        "directory": os.path.join(os.fsencode(workspace()), request.directory),
        "pty": int(request.pty),
        "columns": request.size.columns or 80,
        "rows": request.size.rows or 24,
        "cap": request.size_cap or DEFAULT_CAP,
        "stdin": int(not request.stdin_closed),
    }


def _read_answer(fd: int) -> dict[str, Any]:
    data = b""
    deadline = time.monotonic() + _START
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise errors.timeout(f"the session's holder did not answer within {_START:.0f} s")
        chunk = os.read(fd, 65536)
        if not chunk:
            raise errors.internal("the session's holder ended before it started anything", "see agent.log")
        data += chunk
    try:
        return unpack(data[4:])
    except BadFrame as error:
        raise errors.internal(f"the session's holder answered nonsense: {error}") from None
