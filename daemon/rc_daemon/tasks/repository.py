"""The local repository a task starts from: looked at and pinned, never changed otherwise."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from rc_daemon.tasks.base import Base, pin_name
from rc_daemon.tasks.git import AUTHOR, Done, git, run
from rc_protos import errors

# A copy of the dirty tree of a big repository reads every changed file.
DIRTY_TIMEOUT = 300.0
_ALTERNATES_DEPTH = 5


async def local_base(task_id: str, directory: Path, ref: str, *, dirty: bool) -> tuple[Base, list[str]]:
    """Resolve and pin what a task starts from; the base, and lines for the person. Raises usage or precondition."""
    facts = await _facts(directory)
    origin = await _resolve(facts.place, directory, ref)
    notices = await _submodules(facts.place, origin)
    commit = await _dirty_commit(facts, origin, ref) if dirty else origin
    name, email = await _identity(facts.place)
    base = Base(
        repository=str(facts.place),
        commit=commit,
        origin=origin,
        objects=object_directories(facts.objects),
        object_format=facts.object_format,
        shallow=_shallow(facts.common),
        user_name=name,
        user_email=email,
    )
    await pin(task_id, base)
    return base, notices


async def pin(task_id: str, base: Base) -> None:
    """Keep the base's objects whatever the user does to branches."""
    await git(base.path, "update-ref", pin_name(task_id), base.commit)


async def unpin(task_id: str, repository: str) -> None:
    """Let the base go; a repository or ref that is not there any more is fine."""
    place = Path(repository)
    if _is_directory(place):
        await run(place, "update-ref", "-d", pin_name(task_id))


class _Facts:
    """Where the parts of a repository are."""

    def __init__(self, directory: Path, lines: list[str]) -> None:
        bare, common, objects, object_format, top = lines
        self.bare = bare == "true"
        self.common = (directory / common).resolve()
        self.objects = (directory / objects).resolve()
        self.object_format = object_format
        self.place = self.common if self.bare else Path(top)


async def _facts(directory: Path) -> _Facts:
    if "\n" in str(directory):
        raise errors.usage(f"the path {str(directory)!r} has a newline in it, which git's own files cannot hold")
    if not _is_directory(directory):
        raise errors.usage(f"there is no directory {directory}", "name a git repository with --repo")
    asked = ("--is-bare-repository", "--git-common-dir", "--git-path", "objects", "--show-object-format")
    done = await run(directory, "rev-parse", *asked)
    if done.code:
        raise _no_repository(directory, done)
    lines = done.text.split("\n")
    top = "" if lines[0] == "true" else await _top(directory)
    return _Facts(directory, [*lines, top])


async def _top(directory: Path) -> str:
    done = await run(directory, "rev-parse", "--show-toplevel")
    if done.code:
        raise errors.usage(f"{directory} is inside a .git directory", "run rc from the working tree")
    return done.text


def _no_repository(directory: Path, done: Done) -> errors.RemoteClaudeError:
    if "dubious ownership" in done.err:
        hint = f"if you trust it: git config --global --add safe.directory {directory}"
        return errors.precondition(f"git does not trust {directory}: it belongs to another user", hint)
    if "not a git repository" in done.err:
        hint = "run rc inside one, make one with: git init && git add -A && git commit -m start, or give --repo"
        return errors.usage(f"{directory} is not in a git repository", hint)
    return errors.precondition(f"git cannot read the repository in {directory}: {done.why}")


async def _resolve(place: Path, directory: Path, ref: str) -> str:
    done = await run(place, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref or 'HEAD'}^{{commit}}")
    if done.code == 0:
        commit = done.text.split("\n")[-1]
        await _complete(place, commit)
        return commit
    if ref:
        hint = "a branch, tag or commit; list them with: git branch -a"
        raise errors.usage(f"the repository {place} has no {ref!r}", hint)
    any_commit = (await run(place, "rev-list", "--all", "--max-count=1")).text
    if any_commit:
        raise errors.precondition(f"HEAD of {place} is a branch without a commit", "commit first, or give --ref")
    raise errors.precondition(f"the repository {place} has no commit yet", "git add -A && git commit -m start")


async def _complete(place: Path, commit: str) -> None:
    """A sandbox borrows objects and cannot fetch missing ones."""
    promised = await run(place, "config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$")
    if promised.code:
        return
    missing = await run(place, "rev-list", "--objects", "--missing=print", "--no-walk", commit)
    if any(line.startswith("?") for line in missing.text.splitlines()):
        hint = "make it whole with: git fetch --refetch --filter=blob:limit=100g"
        raise errors.unsupported(f"{place} is a partial clone without the files of {commit[:12]}", hint)


async def _submodules(place: Path, commit: str) -> list[str]:
    listed = await run(place, "ls-tree", "-r", "-z", "--full-tree", commit)
    names = [os.fsdecode(line.split(b"\t", 1)[1]) for line in listed.out.split(b"\0") if line.startswith(b"160000")]
    if not names:
        return []
    return [f"submodules are not carried into the sandbox: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"]


async def _identity(place: Path) -> tuple[str, str]:
    listed = await run(place, "config", "--null", "--get-regexp", r"^user\.(name|email)$")
    found = dict(entry.split("\n", 1) for entry in listed.text.split("\0") if "\n" in entry)
    return found.get("user.name", ""), found.get("user.email", "")


async def _dirty_commit(facts: _Facts, origin: str, ref: str) -> str:
    """The working tree as a commit on HEAD, made with an index of its own: the user's is never touched."""
    if facts.bare:
        raise errors.usage(f"{facts.place} is a bare repository: it has no working tree to take along")
    if ref:
        raise errors.usage("--dirty takes the working tree along, which belongs to HEAD", "leave out --ref or --dirty")
    own = Path((await git(facts.place, "rev-parse", "--absolute-git-dir")) + "/index")
    with tempfile.TemporaryDirectory(prefix="rc-index-") as folder:
        index = Path(folder) / "index"
        _copy(own, index)
        extra = {"GIT_INDEX_FILE": str(index)}
        await git(facts.place, "add", "--all", "--", ":/", extra=extra, timeout=DIRTY_TIMEOUT)
        tree = await git(facts.place, "write-tree", extra=extra)
    if tree == await git(facts.place, "rev-parse", f"{origin}^{{tree}}"):
        return origin
    message = "The working tree as it was when the task began"
    return await git(facts.place, "commit-tree", tree, "-p", origin, "-m", message, extra=AUTHOR)


def _is_directory(path: Path) -> bool:
    return path.is_dir()


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copy2(source, target)


def _shallow(common: Path) -> tuple[str, ...]:
    try:
        return tuple((common / "shallow").read_text().split())
    except FileNotFoundError:
        return ()


def object_directories(objects: Path, depth: int = 0) -> tuple[str, ...]:
    """An object directory and, in depth, those it borrows from."""
    found = [str(objects)]
    if depth < _ALTERNATES_DEPTH:
        for line in _alternates(objects):
            if (borrowed := (objects / line).resolve()).is_dir():
                found.extend(object_directories(borrowed, depth + 1))
    return tuple(dict.fromkeys(found))


def _alternates(objects: Path) -> list[str]:
    try:
        text = (objects / "info" / "alternates").read_bytes()
    except FileNotFoundError:
        return []
    lines = (os.fsdecode(line) for line in text.split(b"\n") if line and not line.startswith(b"#"))
    return [_unquoted(line) for line in lines]


def _unquoted(line: str) -> str:
    """Git quotes a path with special characters the way C does."""
    if not (line.startswith('"') and line.endswith('"')):
        return line
    return line[1:-1].encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1").decode("utf-8")
