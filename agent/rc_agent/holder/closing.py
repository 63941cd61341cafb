"""Ending everything a session started: ask, wait, kill."""

from __future__ import annotations

import time

from rc_agent import system, tree

_KILL_AGAIN_FIRST = 0.02
_KILL_AGAIN_MOST = 1.0
# After the last grace time, output that found no room is given up.
_GIVE_UP = 2.0


class Closing:
    """Asks the whole tree to end, and from the end of the grace time on kills what is left, again and again."""

    def __init__(self, holder: int, group: int) -> None:
        self._holder = holder
        self._group = group
        self._kill_at = 0.0
        self._again = _KILL_AGAIN_FIRST
        self.asked = False
        self.give_up_at = 0.0

    @property
    def next_step_at(self) -> float:
        """When `step` wants to be called again; 0: never."""
        return self._kill_at

    def ask(self, grace: float) -> None:
        """SIGHUP, SIGTERM and, for the stopped, SIGCONT to every descendant; a second call may shorten the grace."""
        kill_at = time.monotonic() + grace
        self._kill_at = min(self._kill_at, kill_at) if self.asked else kill_at
        self.asked = True
        self.give_up_at = self._kill_at + _GIVE_UP
        if grace > 0:
            tree.signal_tree(self._holder, self._group, system.SIGHUP, system.SIGTERM, system.SIGCONT)
        else:
            self.step()

    def step(self) -> None:
        """SIGKILL to whatever is left, once its time has come."""
        if self.asked and time.monotonic() >= self._kill_at:
            tree.signal_tree(self._holder, self._group, system.SIGKILL)
            self._kill_at = time.monotonic() + self._again
            self._again = min(self._again * 2, _KILL_AGAIN_MOST)

    def done(self) -> None:
        """Nothing is left to end."""
        self._kill_at = 0.0
