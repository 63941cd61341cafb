"""Finding and ending whole process trees. Light imports only."""

from __future__ import annotations

import os

from rc_agent.system import stat_fields


def descendants(root: int) -> list[int]:
    """Every living descendant of a process, nearest first; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        fields = stat_fields(pid)
        if fields and fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(pid)
    found: list[int] = []
    level = [root]
    while level:
        level = [child for pid in level for child in children.get(pid, ())]
        found += level
    return found


def signal_tree(root: int, group: int, *signals: int) -> int:
    """Send signals to all descendants of `root`, or to the process group `group` where they cannot be listed."""
    pids = descendants(root)
    for number in signals:
        for pid in pids:
            send(pid, number)
        if not os.path.exists("/proc/self/stat"):
            send_group(group, number)
    return len(pids)


def tagged(*variables: bytes) -> list[int]:
    """Other processes of this user that were started with each of `variables` (NAME=value) in their environment."""
    found = []
    for pid in _pids():
        if pid == os.getpid():
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read().split(b"\0")
        except OSError:
            continue
        if all(variable in environment for variable in variables):
            found.append(pid)
    return found


def send(pid: int, number: int) -> None:
    """Send a signal; a process that is gone or another user's is fine."""
    try:  # noqa: SIM105 - contextlib would cost every holder 5 ms of import
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def send_group(group: int, number: int) -> None:
    """Send a signal to a process group; one that is gone is fine."""
    try:  # noqa: SIM105
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        pass


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []
