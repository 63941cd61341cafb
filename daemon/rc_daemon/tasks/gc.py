"""Removes what retention lets go."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rc_daemon.store.tx import Tx
from rc_daemon.tasks import journal
from rc_daemon.tasks.copy import WORK
from rc_daemon.tasks.parts import Parts
from rc_protos.model import Task, TaskState

DAY = 86400.0


@dataclass(frozen=True)
class _Old:
    path: Path
    what: str
    task_id: str = ""


async def collect(parts: Parts, *, dry_run: bool = False) -> tuple[list[str], int]:
    """Remove old logs, unused cached repositories and orphaned directories: (what, bytes freed).

    Work that `rc rm` saved, or that no task in the registry answers for, is never touched.
    """
    tasks = dict(parts.store.tasks)
    old = await asyncio.to_thread(lambda: list(_find(parts, tasks)))
    freed = 0
    for each in old:
        freed += await asyncio.to_thread(_size, each.path)
        if dry_run:
            continue
        await asyncio.to_thread(shutil.rmtree, each.path, ignore_errors=True)
        if each.task_id in tasks:
            await parts.store.transact(lambda tx, task_id=each.task_id: _forget(tx, task_id))  # type: ignore[misc]
    return [f"{each.what}: {each.path}" for each in old], freed


def _find(parts: Parts, tasks: dict[str, Task]) -> Iterator[_Old]:
    before = time.time() - parts.limits.keep_days * DAY
    for place in _entries(parts.paths.tasks):
        task = tasks.get(place.name)
        if task is None:
            # A registry that was lost, or put back from a backup, forgets tasks whose work is still there.
            if not (place / WORK).exists():
                yield _Old(place, "files of a task that is not known")
        elif task.state is TaskState.REMOVED and task.updated_at.timestamp() < before:
            yield _Old(place, f"logs of the removed task {task.name}", task.id)
    used = {Path(task.spec.repository) for task in tasks.values() if task.state is not TaskState.REMOVED}
    for place in _entries(parts.paths.cache / "repositories"):
        if place not in used and _newest(place) < before and not _pinned(place):
            yield _Old(place, "cached repository")
    for place in _entries(parts.paths.cache / "bundle"):
        if place.suffix != ".key" and place.stem != parts.links.bundle.digest and place.stat().st_mtime < before:
            yield _Old(place, "old bundle")


def _forget(tx: Tx, task_id: str) -> None:
    tx.drop_events(task_id)
    tx.delete_task(task_id)
    for request_id, made in tx.list_docs(journal.REQUEST).items():
        if made["task"] == task_id:
            tx.delete_doc(journal.REQUEST, request_id)


def _entries(place: Path) -> list[Path]:
    return sorted(place.iterdir()) if place.is_dir() else []


def _newest(place: Path) -> float:
    return max((each.stat().st_mtime for each in (place, *place.iterdir())), default=0.0)


def _pinned(place: Path) -> bool:
    """A task may still start from it."""
    pins = place / "refs" / "rc" / "base"
    return pins.is_dir() and any(pins.iterdir())


def _size(place: Path) -> int:
    total = 0
    for directory, _, files in os.walk(place):
        for name in files:
            try:
                total += os.lstat(os.path.join(directory, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
