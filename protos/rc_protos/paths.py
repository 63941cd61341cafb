"""Where rc keeps its files.

`RC_HOME` puts everything below one directory (tests, second installations); otherwise the
platform's own places are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rc_protos.roots import JSON_SOCKET, roots


@dataclass(frozen=True)
class Paths:
    """The five directories of an installation."""

    runtime: Path
    data: Path
    config: Path
    cache: Path
    log: Path

    @property
    def grpc_socket(self) -> Path:
        """The daemon's gRPC socket."""
        return self.runtime / "daemon.sock"

    @property
    def json_socket(self) -> Path:
        """The daemon's Connect/JSON socket."""
        return self.runtime / JSON_SOCKET

    @property
    def lock_file(self) -> Path:
        """Held by the one running daemon."""
        return self.runtime / "daemon.lock"

    @property
    def log_file(self) -> Path:
        """The daemon's log."""
        return self.log / "daemon.log"

    @property
    def registry(self) -> Path:
        """The event log and its projections."""
        return self.data / "registry.db"

    @property
    def tasks(self) -> Path:
        """One directory per task: mirrored sessions, transcripts, safe copies."""
        return self.data / "tasks"

    @property
    def sandboxes(self) -> Path:
        """One directory per local sandbox."""
        return self.data / "sandboxes"


def paths() -> Paths:
    """The directories of this user's installation; none is created here."""
    return Paths(*(Path(root) for root in roots()))
