"""What differs between operating systems: orphans, death signals, signal handlers. Light imports only."""

from __future__ import annotations

# The C half of `signal`: the module itself imports enum, which would double a holder's start-up.
import _signal  # type: ignore[import-not-found]
import os
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

LINUX = sys.platform == "linux"
SIGHUP: int = _signal.SIGHUP
SIGTERM: int = _signal.SIGTERM
SIGKILL: int = _signal.SIGKILL
SIGCONT: int = _signal.SIGCONT
SIGWINCH: int = _signal.SIGWINCH


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> bool:
    """Be killed when the parent ends (Linux); False if it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, SIGKILL)
    return os.getppid() == parent


def watch_children() -> int:
    """A descriptor that becomes readable when a child ends."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    _signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    _signal.signal(_signal.SIGCHLD, lambda *_: None)
    return read


def outlive_signals() -> None:
    """Ignore what a closing terminal or a shutting-down machine sends first."""
    for number in (_signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM, _signal.SIGPIPE):
        _signal.signal(number, _signal.SIG_IGN)


def default_signals() -> None:
    """Undo every signal setting, for a process about to be replaced by another program."""
    for number in range(1, _signal.NSIG):
        try:
            if _signal.getsignal(number) != _signal.SIG_DFL:
                _signal.signal(number, _signal.SIG_DFL)
        except (OSError, ValueError):
            continue
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def process_start(pid: int) -> int:
    """When a process started, in clock ticks since boot: with the pid it names a process for ever; 0: none."""
    fields = stat_fields(pid)
    return int(fields[19]) if fields else 0


def stat_fields(pid: int) -> list[bytes]:
    """/proc/PID/stat from the third field on (state, ppid, pgrp, session, ...); empty if there is no process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return []
    return data[data.rfind(b")") + 2 :].split()


def _prctl(option: int, value: int) -> None:
    if not LINUX:
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
