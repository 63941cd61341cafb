"""What becomes of a task's work in the user's repository: apply and fetch. Nothing of theirs is ever overwritten."""

from __future__ import annotations

import tempfile
from pathlib import Path

from rc_daemon.tasks import journal
from rc_daemon.tasks.carry import Carrier
from rc_daemon.tasks.copy import SafeCopy
from rc_daemon.tasks.git import run
from rc_daemon.tasks.parts import Parts
from rc_protos import errors
from rc_protos.failpoints import failpoint
from rc_protos.model import Task


async def safe_copy(parts: Parts, carrier: Carrier, task: Task) -> SafeCopy | None:
    """The task's safe copy, if there is one."""
    base = await parts.store.read(lambda tx: journal.base(tx, task.id))
    if base is None:
        return None
    copy = carrier.copy(task, base)
    return copy if await copy.newest() else None


async def apply(task: Task, copy: SafeCopy, directory: Path) -> list[str]:
    """Apply the whole work to a working tree, or change nothing and raise conflict; the names of the files."""
    top = await _top(directory)
    patch = b"".join([chunk async for chunk in copy.diff()])
    if not patch:
        return []
    flags = ("--binary", "--whitespace=nowarn")
    # From a file: a pipe that we die on is to git a patch that ends early.
    with tempfile.NamedTemporaryFile(prefix="rc-apply-") as file:
        file.write(patch)
        file.flush()
        tried = await run(top, "apply", "--check", *flags, file.name)
        if tried.code:
            raise errors.conflict(
                f"the work of {task.name} does not apply to {top}: {tried.why}; nothing was changed",
                f"bring it as a branch and merge it: rc fetch {task.name} && git merge {task.branch}",
            )
        failpoint("work.apply.before")
        done = await run(top, "apply", *flags, file.name)
    if done.code:
        raise errors.internal(f"git apply failed in {top}: {done.why}", f"rc diff {task.name} has the patch")
    failpoint("work.apply.after")
    return await copy.files()


async def fetch(task: Task, copy: SafeCopy, directory: Path, branch: str) -> tuple[str, str]:
    """Make or fast-forward a local branch; a diverged one is refused."""
    top = await _top(directory)
    commit = await copy.branch_commit(task.name)
    if (await run(top, "check-ref-format", "--branch", branch)).code:
        raise errors.usage(f"{branch!r} cannot be a branch")
    outgoing = "refs/rc/outgoing"
    await run(copy.repository, "update-ref", outgoing, commit)
    target = f"refs/heads/{branch}"
    # One branch, whatever the user's configuration would have a fetch do beside.
    flags = ("--no-tags", "--no-write-fetch-head", "--no-prune", "--no-recurse-submodules")
    done = await run(top, "fetch", *flags, str(copy.repository), f"{outgoing}:{target}")
    if done.code:
        if "non-fast-forward" in done.err or "rejected" in done.err:
            raise errors.conflict(
                f"the branch {branch} has commits of its own; nothing was changed",
                f"take another name: rc fetch {task.name} --branch {branch}-2",
            )
        raise errors.conflict(f"the branch {branch} cannot be brought: {done.why}", "nothing was changed")
    return branch, commit


async def _top(directory: Path) -> Path:
    done = await run(directory, "rev-parse", "--show-toplevel") if directory.is_dir() else None
    if done is None or done.code:
        raise errors.usage(f"{directory} is not in a git working tree", "run it in the repository of the task")
    return Path(done.text)
