"""What the daemon takes from the configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Any

from rc_daemon.tasks.parts import Limits
from rc_protos import config, errors
from rc_protos.paths import Paths

CREDENTIAL_SECONDS = 30.0


class Settings:
    """Read at the daemon's start, and per directory for each new task."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._own = config.load()

    def mirror_cap(self) -> int:
        """Bytes of each session's output kept on this host."""
        return int(self._own["mirror.cap"]) << 20

    def limits(self) -> Limits:
        """What is bounded."""
        own = self._own
        running = own["limit.running"] or max(4, 2 * (os.cpu_count() or 1))
        return Limits(
            running=running,
            idle_coding_agent=own["idle.coding_agent"],
            idle_sandbox=own["idle.sandbox"],
            save=own["save.interval"],
            disk_refuse=own["disk.refuse"] << 20,
            disk_warn=own["disk.warn"] << 20,
            keep_days=own["retention.days"],
        )

    def defaults(self, directory: str) -> Mapping[str, str]:
        """Settings of new tasks made in a directory; raises usage for a broken file."""
        found = config.load(directory)
        wanted = ("agent", "provider", "isolation", "mode", "model", "timeout")
        return {name: str(found[name]) for name in wanted if found[name]}

    def credentials(self, names: tuple[str, ...]) -> Mapping[str, str]:
        """Credentials the user's configuration yields for these names; blocks. Raises unauthenticated."""
        sources = config.load().credentials
        return {name: _fetch(name, sources[name]) for name in names if name in sources}


def _fetch(name: str, source: Mapping[str, Any]) -> str:
    if "keyring" in source:
        return _from_keyring(name, str(source["keyring"]))
    command = source["command"]
    argv = command if isinstance(command, list) else ["/bin/sh", "-c", str(command)]
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            capture_output=True,
            text=True,
            timeout=CREDENTIAL_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # Never its output: that may be the credential.
        raise _refused(name, f"its command failed ({type(error).__name__})") from None
    if not (found := done.stdout.strip()):
        raise _refused(name, "its command printed nothing")
    return found


def _from_keyring(name: str, entry: str) -> str:
    service, _, user = entry.partition("/")
    try:
        import keyring

        found = keyring.get_password(service, user)
    except Exception as error:  # its back ends are other people's, and raise what they like
        raise _refused(name, f"the keyring does not answer ({type(error).__name__})") from None
    if found is None:
        raise _refused(name, f"the keyring has no entry {entry}")
    return found


def _refused(name: str, why: str) -> errors.RemoteClaudeError:
    return errors.RemoteClaudeError(
        f"the credential {name} cannot be had: {why}",
        "see: rc config show --origin",
        code=errors.ErrorCode.UNAUTHENTICATED,
    )
