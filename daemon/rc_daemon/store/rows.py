"""Rows that only the daemon knows; everything a face sees is in rc_protos.model."""

from __future__ import annotations

from dataclasses import dataclass

from rc_protos.model import ExitStatus


@dataclass(frozen=True)
class SessionRow:
    """A session as the registry remembers it; its bytes are in the mirror."""

    id: str
    task_id: str
    sandbox_id: str
    kind: str = ""
    name: str = ""
    ended: bool = False
    exit: ExitStatus | None = None


@dataclass(frozen=True)
class OutboxRow:
    """Bytes that a session's process is owed."""

    session_id: str
    writer_id: str
    from_byte: int
    data: bytes


@dataclass(frozen=True)
class Placement:
    """Which sandbox owns a task, from an epoch on."""

    task_id: str
    sandbox_id: str
    epoch: int
