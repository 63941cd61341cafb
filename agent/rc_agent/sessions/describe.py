"""A session as a message, from its directory and, while it runs, from its holder's word."""

from __future__ import annotations

import os
from typing import Any

from rc_agent.holder.records import HOLDER_FILE
from rc_agent.sessions.store import META_FILE, Sessions, bounds, read_json
from rc_protos.v1 import session_pb2 as pb


def describe(sessions: Sessions, session_id: str, state: dict[str, Any] | None = None) -> pb.Session:
    """What is known of a session; `state` is what its holder last said."""
    directory = sessions.existing(session_id)
    record = sessions.exit(session_id)
    meta = read_json(f"{directory}/{META_FILE}") or {}
    holder = read_json(f"{directory}/{HOLDER_FILE}") or {}
    session = pb.Session(
        id=session_id,
        name=meta.get("name", ""),
        kind=meta.get("kind", ""),
        argv=[os.fsencode(part) for part in meta.get("argv", ())],
        directory=os.fsencode(meta.get("directory", "")),
        pty=bool(meta.get("pty")),
        size=pb.TerminalSize(columns=meta.get("columns", 0), rows=meta.get("rows", 0)),
        pid=int(holder.get("pid", 0)),
        size_cap=int(meta.get("size_cap", 0)),
    )
    if "started_at" in holder:
        session.started_at.FromNanoseconds(int(holder["started_at"] * 1e9))
    if record is not None:
        _ended(session, record)
    session.out_first, session.out_end = _kept(directory, "out", record)
    session.err_first, session.err_end = _kept(directory, "err", record)
    if state is not None:
        session.blocked = state["blocked"].decode("utf-8", "replace")
        session.size.columns, session.size.rows = state["columns"], state["rows"]
    return session


def exit_status(record: dict[str, Any]) -> pb.ExitStatus:
    """An exit record as a message."""
    return pb.ExitStatus(code=record["code"], signal=record["signal"], lost=record.get("lost", ""))


def _ended(session: pb.Session, record: dict[str, Any]) -> None:
    session.ended = True
    session.exit.CopyFrom(exit_status(record))
    session.ended_at.FromNanoseconds(int(record["ended_at"] * 1e9))


def _kept(directory: str, name: str, record: dict[str, Any] | None) -> tuple[int, int]:
    first, end = bounds(directory, name)
    known = int(record[f"{name}_end"]) if record else 0
    # Of a mirrored session nothing is kept: it begins where it ends.
    return (first, end) if end >= known else (known, known)
