"""The safe copy of a task's work on the daemon's host: a bare repository that borrows the user's objects."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from rc_daemon.tasks.base import Base
from rc_daemon.tasks.git import AUTHOR, OURS, git, run, stream
from rc_protos.failpoints import failpoint

WORK = "work.git"
HEAD, SAVE = "refs/rc/head", "refs/rc/save"
INCOMING = "refs/rc/incoming"
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
FETCH_SECONDS = 300.0


@dataclass(frozen=True)
class Saved:
    """The newest copy: the branch's commit, and a commit of everything in the working tree."""

    head: str
    save: str


class SafeCopy:
    """`<data>/tasks/<id>/work.git` and the coding agent's transcript beside it."""

    def __init__(self, directory: Path, base: Base) -> None:
        self.repository = directory / WORK
        self.transcript = directory / "transcript.tar"
        self.base = base

    async def newest(self) -> Saved | None:
        """What was copied last; None: nothing yet."""
        if not (self.repository / "HEAD").exists():
            return None
        done = await run(self.repository, "rev-parse", "--verify", "--quiet", HEAD, extra=OURS)
        save = await run(self.repository, "rev-parse", "--verify", "--quiet", SAVE, extra=OURS)
        return Saved(done.text, save.text) if done.code == 0 and save.code == 0 else None

    async def take(self, bundle: Path, saved: Saved) -> None:
        """Take in a bundle made in the sandbox, checked object by object; both refs move together or not at all."""
        for commit in (saved.head, saved.save):
            if not _COMMIT.fullmatch(commit):
                raise ValueError(f"{commit!r} is no commit")
        await self._make()
        checks = ("-c", "fetch.fsckObjects=true", "-c", "transfer.unpackLimit=1")
        await git(
            self.repository,
            *checks,
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            str(bundle),
            f"+{SAVE}:{INCOMING}",
            extra=OURS,
            timeout=FETCH_SECONDS,
        )
        if await git(self.repository, "rev-parse", INCOMING, extra=OURS) != saved.save:
            raise ValueError("the bundle holds another commit than was said")
        failpoint("task.SaveWork.fetched")
        moves = f"start\nupdate {HEAD} {saved.head}\nupdate {SAVE} {saved.save}\nprepare\ncommit\n"
        await git(self.repository, "update-ref", "--stdin", extra=OURS, stdin=moves.encode())

    async def bundle(self, path: Path) -> None:
        """What is needed beyond the base, for another sandbox."""
        await git(
            self.repository, "bundle", "create", "-q", str(path), HEAD, SAVE, "--not", self.base.commit, extra=OURS
        )

    def diff(self, *, stat: bool = False, color: bool = False) -> AsyncIterator[bytes]:
        """The work since the base, committed or not."""
        flags = ["--stat"] if stat else ["--binary", "--full-index"]
        flags += ["--color=always"] if color else []
        return stream(
            self.repository, "diff", "--no-ext-diff", "--no-textconv", *flags, self.base.commit, SAVE, extra=OURS
        )

    async def files(self) -> list[str]:
        """Names of the files that differ from the base."""
        listed = await git(
            self.repository, "diff", "--name-only", "--no-ext-diff", "-z", self.base.commit, SAVE, extra=OURS
        )
        return [name for name in listed.split("\0") if name]

    async def branch_commit(self, task_name: str) -> str:
        """What `rc fetch` brings: the branch, with a commit on top for what was not committed."""
        saved = await self.newest()
        assert saved is not None
        trees = [await git(self.repository, "rev-parse", f"{each}^{{tree}}", extra=OURS) for each in (HEAD, SAVE)]
        if trees[0] == trees[1]:
            return saved.head
        date = await git(self.repository, "show", "-s", "--format=%ct +0000", saved.save, extra=OURS)
        dated = {**OURS, **AUTHOR, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        message = f"Uncommitted work of the task {task_name}"
        return await git(self.repository, "commit-tree", trees[1], "-p", saved.head, "-m", message, extra=dated)

    async def _make(self) -> None:
        if not (self.repository / "HEAD").exists():
            self.repository.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = ("--quiet", "--bare", f"--object-format={self.base.object_format}")
            await git(self.repository, "init", *flags, ".", extra=OURS)
        borrowed = os.fsencode("".join(f"{place}\n" for place in self.base.objects))
        (self.repository / "objects" / "info").mkdir(parents=True, exist_ok=True)
        _put(self.repository / "objects" / "info" / "alternates", borrowed)
        if self.base.shallow:
            _put(self.repository / "shallow", "".join(f"{each}\n" for each in self.base.shallow).encode())


def _put(path: Path, content: bytes) -> None:
    """Whole at every moment: a git that reads meanwhile (rc diff, rc fetch) must find every object."""
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_bytes(content)
    os.replace(temporary, path)
