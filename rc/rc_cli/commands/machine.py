"""daemon start|stop|restart|logs, doctor, gc."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from rc_cli.credentials import present
from rc_cli.loop import with_client
from rc_cli.view.text import clean, paint, size
from rc_client.start import answers, ensure
from rc_protos.errors import ErrorCode, RemoteClaudeError, timeout, unavailable
from rc_protos.model import Check
from rc_protos.paths import paths
from rc_protos.version import VERSION

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

STOP_SECONDS = 20.0
COLOURS = {"ok": "32", "warning": "33", "error": "31"}


def start() -> int:
    """Start it if it does not run."""
    ran = answers(paths().grpc_socket)
    ensure()
    sys.stderr.write("the daemon runs already\n" if ran else "the daemon runs\n")
    return 0


def stop() -> int:
    """End it and wait until it is gone."""
    if not answers(paths().grpc_socket):
        sys.stderr.write("the daemon does not run\n")
        return 0
    _end()
    sys.stderr.write("the daemon is stopped; tasks live on\n")
    return 0


def restart() -> int:
    """End it, start this version."""
    if answers(paths().grpc_socket):
        _end()
    ensure()
    sys.stderr.write("the daemon runs\n")
    return 0


def log(tail: int) -> int:
    """Print the last lines."""
    path = paths().log_file
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise unavailable(f"{path} cannot be read: {error.strerror}", "the daemon has not run yet") from None
    sys.stdout.write("".join(f"{clean(line)}\n" for line in lines[-tail:]))
    return 0


def doctor(*, as_json: bool) -> int:
    """Print every check; 1 if one is an error."""

    async def whole(client: DaemonClient) -> list[Check]:
        status = await client.get_status()
        return [_version(status.version), *await client.diagnose(os.getcwd(), list(present()))]

    checks = with_client(whole)
    if as_json:
        sys.stdout.write(json.dumps([vars(each) for each in checks], indent=2) + "\n")
    else:
        for check in checks:
            word = paint(f"{check.result:>7}", COLOURS.get(check.result, "0"))
            sys.stdout.write(f"{word}  {check.name}: {clean(check.message)}\n")
            if check.remedy:
                sys.stdout.write(f"{'':>7}  → {clean(check.remedy)}\n")
    return 1 if any(check.result == "error" for check in checks) else 0


def _version(of_daemon: str) -> Check:
    if of_daemon == VERSION:
        return Check("daemon", "ok", VERSION)
    remedy = "run: rc daemon restart   (running tasks live through it)"
    return Check("daemon", "warning", f"the daemon is {of_daemon}, this rc {VERSION}", remedy)


def collect(*, dry_run: bool) -> int:
    """Print what went."""
    removed, freed = with_client(lambda client: client.collect_garbage(dry_run=dry_run))
    sys.stdout.write("".join(f"{clean(each)}\n" for each in removed))
    sys.stderr.write(f"{'would free' if dry_run else 'freed'} {size(freed)}\n")
    return 0


def _end() -> None:
    from rc_protos.platform import start_time

    found = with_client(lambda client: client.get_status(), start=False)
    began = start_time(found.pid)
    try:
        with_client(lambda client: client.stop_daemon(), start=False)
    except RemoteClaudeError as error:
        if error.code is not ErrorCode.UNAVAILABLE:
            raise
    deadline = time.monotonic() + STOP_SECONDS
    while start_time(found.pid) == began:
        if time.monotonic() > deadline:
            raise timeout(f"the daemon (pid {found.pid}) does not end", "see: rc daemon logs")
        time.sleep(0.02)
