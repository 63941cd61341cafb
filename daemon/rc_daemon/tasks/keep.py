"""Unmerged work of a task that is removed, written to where it outlives the task."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from rc_daemon.tasks.copy import SafeCopy, Saved
from rc_daemon.tasks.git import OURS, git, run
from rc_protos.failpoints import failpoint
from rc_protos.model import Task


async def keep(root: Path, task: Task, copy: SafeCopy) -> Path | None:
    """A patch, a bundle and how to use them; None when there is nothing that the repository does not have."""
    saved = await copy.newest()
    if saved is None or await _merged(copy, saved):
        return None
    # One place for one task: after a crash it is written again and not twice.
    place = root / f"{task.name}-{task.created_at:%Y%m%d-%H%M%S}"
    temporary = place.with_name(f".{place.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o700, parents=True)
    with (temporary / "work.patch").open("wb") as file:
        async for chunk in copy.diff():
            file.write(chunk)
    commit = await copy.branch_commit(task.name)
    name = f"refs/heads/{task.branch}"
    await git(copy.repository, "update-ref", name, commit, extra=OURS)
    bundle = str(temporary / "work.bundle")
    await git(copy.repository, "bundle", "create", "-q", bundle, name, "--not", copy.base.commit, extra=OURS)
    (temporary / "README.txt").write_text(
        f"Work of the task {task.name} ({task.id}), which was removed.\n\n"
        f"In {copy.base.repository}:\n"
        f"    git apply {place}/work.patch\n"
        f"or, as a branch with its commits:\n"
        f"    git fetch {place}/work.bundle {name}:{name}\n"
    )
    failpoint("task.KeepWork.written")
    shutil.rmtree(place, ignore_errors=True)
    os.rename(temporary, place)
    return place


async def _merged(copy: SafeCopy, saved: Saved) -> bool:
    """Nothing was done, or a branch of the repository has it all."""
    if not await copy.files():
        return True
    repository = copy.base.path
    if not repository.is_dir():
        return False
    commit = await copy.branch_commit("")
    tree = await git(copy.repository, "rev-parse", f"{commit}^{{tree}}", extra=OURS)
    if tree != await git(copy.repository, "rev-parse", f"{saved.head}^{{tree}}", extra=OURS):
        return False
    found = await run(repository, "branch", "--all", "--contains", saved.head, "--format=%(refname)")
    return found.code == 0 and bool(found.text.strip())
