"""What `rc daemon status` tells."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from rc_daemon.tasks.parts import Parts
from rc_protos import platform
from rc_protos.model import DaemonStatus, TaskState
from rc_protos.version import PROTOCOL, VERSION

RUNNING = (TaskState.PROVISIONING, TaskState.PREPARING, TaskState.WORKING, TaskState.WAITING)


class Status:
    """Looks at the daemon from inside."""

    def __init__(self, parts: Parts, daemon_id: str) -> None:
        self._parts = parts
        self._daemon_id = daemon_id
        self._started = datetime.now(UTC)

    def look(self) -> DaemonStatus:
        """As it is now."""
        tasks = [task for task in self._parts.store.tasks.values() if task.state is not TaskState.REMOVED]
        place = self._parts.paths.data
        disk = os.statvfs(place)
        free = disk.f_bavail * disk.f_frsize
        return DaemonStatus(
            version=VERSION,
            protocol=PROTOCOL,
            pid=os.getpid(),
            daemon_id=self._daemon_id,
            started_at=self._started,
            resident_bytes=platform.resident_bytes(),
            links=tuple(self._parts.links.statuses({task.sandbox_id: task.id for task in tasks})),
            tasks=len(tasks),
            running=sum(task.state in RUNNING for task in tasks),
            data_directory=str(place),
            log_file=str(self._parts.paths.log_file),
            disk_free_bytes=free,
            warnings=self._warnings(free),
        )

    def _warnings(self, free: int) -> tuple[str, ...]:
        if free < self._parts.limits.disk_warn:
            return (f"the disk of {self._parts.paths.data} has {free >> 20} MiB left; run: rc gc",)
        return ()
