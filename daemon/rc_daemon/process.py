"""The daemon as a process: exactly one per installation, its directories private, its log rotated, signals heeded."""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
import signal
import stat
import sys
from pathlib import Path

from rc_protos import errors, platform
from rc_protos.errors import RemoteClaudeError
from rc_protos.paths import Paths, paths

LOG_BYTES, LOG_FILES = 4 << 20, 3
ALREADY_RUNS = 0

log = logging.getLogger("rc.process")


def main() -> int:
    """Run; 0 when told to stop or when another daemon runs already, else the exit code of what failed."""
    # Must be set before gRPC is imported: its fork handlers only get in the way of starting processes.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.umask(0o077)
    places = paths()
    try:
        prepare(places)
        held = platform.lock(places.lock_file)
    except RemoteClaudeError as error:
        sys.stderr.write(f"rc daemon: {error.message}\n    {error.hint}\n")
        return error.border.exit
    if held is None:
        sys.stderr.write(f"rc daemon: another daemon holds {places.lock_file}\n")
        return ALREADY_RUNS
    os.truncate(held, 0)
    os.write(held, f"{os.getpid()}\n".encode())
    _log_to(places.log_file)
    try:
        asyncio.run(_run(places))
    except RemoteClaudeError as error:
        log.error("the daemon does not start: %s %s", error.message, error.hint)
        sys.stderr.write(f"rc daemon: {error.message}\n    {error.hint}\n")
        return error.border.exit
    except Exception:
        log.exception("the daemon fails")
        raise
    return 0


def prepare(places: Paths) -> None:
    """Make the private directories; raises permission for one that others may enter, usage for one not writable."""
    for place in (places.runtime, places.data, places.config, places.cache, places.log):
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise errors.usage(
                f"cannot make {place}: {error.strerror}", "set RC_HOME to a directory that can be written"
            ) from error
    found = places.runtime.stat()
    if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise RemoteClaudeError(
            f"the runtime directory {places.runtime} is not private (mode {stat.S_IMODE(found.st_mode):o})",
            f"run: chmod 700 {places.runtime}",
            code=errors.ErrorCode.PERMISSION,
        )


async def _run(places: Paths) -> None:
    from rc_daemon.main import Daemon

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    daemon = Daemon(places, stop.set)
    try:
        await daemon.start()
        log.info("serving, pid %d", os.getpid())
        await stop.wait()
    finally:
        await daemon.close()
        log.info("stopped")


def _log_to(path: Path) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    logging.basicConfig(level=os.environ.get("RC_LOG", "INFO").upper(), handlers=[handler])
