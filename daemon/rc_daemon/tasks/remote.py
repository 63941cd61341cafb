"""Repositories given by URL: kept in rc's cache, fetched with the user's own git credentials."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

from rc_daemon.tasks.base import Base
from rc_daemon.tasks.git import Done, git, run
from rc_daemon.tasks.repository import object_directories, pin
from rc_protos import errors

FETCH_TIMEOUT = 900.0
_HEAD = "refs/rc/remote-head"
_SCP = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:(?!//)\S+")
_URL = re.compile(r"(https?|ssh|git|file)://\S+")
# What no second attempt changes.
_HOPELESS = (
    "could not read Username",
    "Authentication failed",
    "Permission denied",
    "not found",
    "does not exist",
    "not appear to be a git repository",
    "Host key verification failed",
)

_locks: dict[Path, asyncio.Lock] = {}


def is_url(repository: str) -> bool:
    """Whether this names a repository elsewhere."""
    return bool(_URL.fullmatch(repository) or _SCP.fullmatch(repository))


def split_ref(repository: str) -> tuple[str, str]:
    """URL[@ref] in two; the @ of a user name is not one."""
    head, _, ref = repository.rpartition("@")
    has_path = "/" in head.partition("://")[2] or _SCP.fullmatch(head)
    return (head, ref) if ref and has_path and is_url(head) else (repository, "")


def cache_directory(cache: Path, url: str) -> Path:
    """Where a URL's repository is kept."""
    return cache / "repositories" / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.git"


async def remote_base(task_id: str, cache: Path, url: str, ref: str) -> Base:
    """Fetch and pin what a task starts from; raises precondition for what cannot work and unavailable otherwise."""
    place = cache_directory(cache, url)
    async with _locks.setdefault(place, asyncio.Lock()):
        await _fetch(place, url)
        commit = await _resolve(place, url, ref)
        base = Base(
            repository=str(place),
            commit=commit,
            origin=commit,
            objects=object_directories(place / "objects"),
            object_format=await git(place, "rev-parse", "--show-object-format"),
            user_name=(await run(place, "config", "user.name")).text,
            user_email=(await run(place, "config", "user.email")).text,
            cached=True,
        )
        await pin(task_id, base)
    return base


async def _fetch(place: Path, url: str) -> None:
    if _is_new(place, url):
        await git(place, "init", "--quiet", "--bare", ".")
    refs = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", f"+HEAD:{_HEAD}")
    flags = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    done = await run(place, "fetch", *flags, "--end-of-options", url, *refs, timeout=FETCH_TIMEOUT)
    if done.code:
        raise _failed(url, done)


def _is_new(place: Path, url: str) -> bool:
    if (place / "HEAD").exists():
        return False
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    # For the person who looks into the cache; a password in a URL stays out.
    (place / "rc-url").write_text(re.sub(r"//[^/@]*@", "//", url) + "\n")
    return True


def _failed(url: str, done: Done) -> errors.RemoteClaudeError:
    if "couldn't find remote ref HEAD" in done.err:
        return errors.precondition(f"the repository {url} has no commit yet")
    if any(words in done.err for words in _HOPELESS):
        hint = f"see whether this works in your terminal: git ls-remote {url}"
        return errors.precondition(f"git cannot read {url}: {done.why}", hint)
    return errors.unavailable(f"git could not fetch {url}: {done.why}", "it is tried again")


async def _resolve(place: Path, url: str, ref: str) -> str:
    names = [f"refs/heads/{ref}", f"refs/tags/{ref}", ref] if ref else [_HEAD]
    for name in names:
        done = await run(place, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if done.code == 0:
            return done.text.split("\n")[-1]
    raise errors.precondition(f"the repository {url} has no {ref!r}", f"list what it has: git ls-remote {url}")
