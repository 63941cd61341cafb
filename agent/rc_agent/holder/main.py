"""A holder's start: take over from the agent, start the process, answer, then live alone."""

from __future__ import annotations

import os

from rc_agent import system
from rc_agent.frames import pack, unpack
from rc_agent.holder.control import Listener
from rc_agent.holder.process import StartError, prepare
from rc_agent.holder.records import write_holder
from rc_agent.holder.session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Read the specification from stdin, answer on stdout, hold the session to its end."""
    spec = _read_spec()
    if os.fork():
        # The agent waits for this process only; the holder itself is nobody's child.
        os._exit(0)
    os.set_inheritable(spec["lock"], False)
    os.chdir(spec["home"])
    try:
        session = _start(spec)
    except StartError as error:
        _answer({"error": error.number, "step": error.step})
        os._exit(1)
    except OSError as error:
        _answer({"error": error.errno or 5, "step": "cannot keep the session's log"})
        os._exit(1)
    _answer({"pid": session.process.pid})
    _let_go_of_the_agent()
    session.run()
    os._exit(0)


def _read_spec() -> dict[str, Any]:
    data = b""
    while chunk := os.read(0, 1 << 20):
        data += chunk
    spec = unpack(data[4:])
    spec["home"] = os.fsdecode(spec["home"])
    return spec


def _start(spec: dict[str, Any]) -> Session:
    system.outlive_signals()
    system.adopt_orphans()
    wakeup = system.watch_children()
    listener = Listener()
    process, gate = prepare(spec)
    session = Session(process, listener, wakeup, spec["cap"], (spec["columns"], spec["rows"]))
    write_holder(process.pid, system.process_start(process.pid))
    if spec["pty"]:
        session.mark("resize")
    gate.open()
    return session


def _answer(message: dict[str, Any]) -> None:
    try:
        os.write(1, pack(message))
    except OSError:
        # The agent that asked is gone; the next one finds the session on disk.
        return


def _let_go_of_the_agent() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)


if __name__ == "__main__":
    main()
