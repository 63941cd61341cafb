"""Connect to the daemon or start it: any face does, and only one daemon results. Standard library only."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

from rc_protos import errors
from rc_protos.paths import Paths, paths

START_SECONDS = 30.0
AGAIN_SECONDS = 0.5
LOG_LINES = 5

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from io import FileIO


def ensure(places: Paths | None = None, *, start: bool = True) -> Paths:
    """Wait until a daemon answers, starting one if need be; raises unavailable with its last words."""
    places = places or paths()
    if answers(places.grpc_socket):
        return places
    if not start:
        raise errors.unavailable("the daemon does not run", "run: rc daemon start")
    launch(places)
    return places


def answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    from rc_protos import platform

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            with platform.socket_address(path) as address:
                probe.connect(address)
        except OSError:
            return False
    return True


def launch(places: Paths) -> None:
    """Start the daemon and wait for its socket."""
    deadline = time.monotonic() + START_SECONDS
    process, output = _start(places)
    pause = 0.005
    try:
        while not answers(places.grpc_socket):
            ended = process.poll()
            if (ended or 0) > 0 or time.monotonic() > deadline:
                words = _last_words(output) or f"not ready after {START_SECONDS:g} s"
                raise errors.unavailable(f"the daemon does not start: {words}", f"see {places.log_file}")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
            if ended is not None:
                # Another one was first: its socket comes, or it fails, and then one of ours tells why. Or it was
                # killed, which says nothing about the next.
                time.sleep(AGAIN_SECONDS)
                output.close()
                process, output = _start(places)
    finally:
        output.close()
    # It lives on without us.
    process.returncode = 0


def _start(places: Paths) -> tuple[subprocess.Popen[bytes], FileIO]:
    """The process, and the file that holds its words."""
    import subprocess

    try:
        for place in (places.runtime, places.log):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = places.log / "daemon.out"
        output.unlink(missing_ok=True)
        log = output.open("a+b", buffering=0)
        process = subprocess.Popen(
            [sys.executable, "-m", "rc_daemon"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
            env=_environment(),
        )
    except OSError as error:
        raise errors.unavailable(
            f"the daemon cannot be started: {error.filename}: {error.strerror}",
            "set RC_HOME to a directory that can be written",
        ) from error
    return process, log


def _environment() -> dict[str, str]:
    """The caller's environment without what is a secret or belongs to one terminal only."""
    from rc_protos.secrets import is_secret

    return {name: value for name, value in os.environ.items() if not is_secret(name)}


def _last_words(output: FileIO) -> str:
    output.seek(0)
    text = output.read().decode("utf-8", "replace")
    return " / ".join(line.strip() for line in text.splitlines()[-LOG_LINES:])
