"""Time for durations: it goes on over restarts of the daemon, and no jump of the wall clock moves it."""

from __future__ import annotations

import time

from rc_daemon.store.tx import Tx
from rc_protos import platform

COLLECTION, KEY = "clock", "self"


class Clock:
    """Seconds since the epoch as the wall clock had it when this machine's boot was first seen, counted on since."""

    def __init__(self, origin: float) -> None:
        self._origin = origin

    def now(self) -> float:
        """Comparable with what this clock gave before a restart of the daemon; not a time to show."""
        return self._origin + platform.since_boot()


def take_up(tx: Tx) -> Clock:
    """The clock of this boot, begun anew after a restart of the machine."""
    boot = platform.boot_id()
    found = tx.get_doc(COLLECTION, KEY)
    if found is None or not boot or found["boot"] != boot:
        found = {"boot": boot, "origin": time.time() - platform.since_boot()}
        tx.put_doc(COLLECTION, KEY, found)
    return Clock(float(found["origin"]))
