"""What callers may ask of a holder."""

from __future__ import annotations

import os

from rc_agent.holder.control import Connection
from rc_protos.stream.resume import Gap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rc_agent.holder.session import Session


def answer(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    """Carry out one request; a wrong one is answered with an error."""
    handler = _HANDLERS.get(request.get("t", b""))
    try:
        if handler is None:
            raise ValueError("unknown request")
        handler(session, connection, request)
    except (KeyError, ValueError, TypeError) as error:
        connection.send({"t": "error", "text": f"bad request: {error}"})
    except OSError as error:
        connection.send({"t": "error", "text": error.strerror or str(error)})


def _wait(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    connection.waits_beyond = int(request["version"])


def _input(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    writer = bytes(request["writer"])
    inputs = session.inputs
    try:
        inputs.accept(writer, int(request["from"]), bytes(request["data"]))
    except Gap as gap:
        connection.send({"t": "gap", "writer": writer, "wanted": gap.wanted})
        return
    if request.get("end"):
        inputs.end(writer, session.process.end_of_file() if session.process.pty else b"")
    inputs.flush()
    # Unequal to anything that can be told: every input is answered at least once.
    connection.told[writer] = (-1, 0)


def _resize(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    if session.ended:
        raise ProcessLookupError(3, os.strerror(3))
    session.resize(int(request["columns"]), int(request["rows"]))
    connection.send({"t": "ok"})


def _signal(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    if session.exit is not None:
        raise ProcessLookupError(3, os.strerror(3))
    session.process.signal(int(request["signal"]))
    connection.send({"t": "ok"})


def _close(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    session.closing.ask(int(request["grace"]) / 1000)
    connection.send({"t": "ok"})


def _ack(session: Session, connection: Connection, request: dict[str, Any]) -> None:
    session.ack(int(request["out"]), int(request["err"]))
    connection.send({"t": "ok"})


_HANDLERS = {b"wait": _wait, b"input": _input, b"resize": _resize, b"signal": _signal, b"close": _close, b"ack": _ack}
