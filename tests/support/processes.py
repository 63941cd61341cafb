"""The processes of a sandbox, as the host sees them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from rc_protos import platform

AGENT, HOLDER, CODING_AGENT = b"rc_agent.main", b"rc_agent.holder", b"rc_demo"


def inside(sandbox_id: str, word: bytes) -> list[int]:
    """Those with this word in their command line, oldest first."""
    found = []
    for pid in platform.with_environment(f"RC_SANDBOX={sandbox_id}"):
        with suppress(OSError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return sorted(found, key=lambda pid: (os.stat(f"/proc/{pid}").st_ctime, pid))


def parent(pid: int) -> int:
    """Who started it."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
