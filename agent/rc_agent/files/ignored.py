"""A tree without .git, without what git ignores and without what we are writing just now."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator

from rc_agent.files.atomic import PREFIX

GIT_SECONDS = 30.0


def walk(top: bytes, folder: bytes, enter: Callable[[bytes], None] = lambda path: None) -> Iterator[os.DirEntry[bytes]]:
    """Everything below a folder of the tree at `top`, level by level; `enter` is called before a folder is read."""
    level = [folder]
    while level:
        entries = [entry for path in level for entry in _read(path, enter)]
        known = kept(top, [entry.path for entry in entries])
        level = []
        for entry in entries:
            if entry.path in known:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    level.append(entry.path)


def kept(top: bytes, paths: Iterable[bytes]) -> set[bytes]:
    """Of paths below `top`, those that somebody wants to hear of. Outside of a repository that is all."""
    wanted = {path for path in paths if not _ours(path[len(top) :])}
    if not wanted:
        return wanted
    # Relative and with a dot, or it could be taken for a pattern.
    named = {b"." + path[len(top.rstrip(b"/")) :]: path for path in wanted}
    words = [b"git", b"-C", top, b"-c", b"core.fsmonitor=false", b"check-ignore", b"-z", b"--stdin"]
    try:
        done = subprocess.run(
            words, input=b"\0".join(named) + b"\0", capture_output=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return wanted
    return wanted - {named[name] for name in done.stdout.split(b"\0") if name in named}


def _read(path: bytes, enter: Callable[[bytes], None]) -> list[os.DirEntry[bytes]]:
    try:
        enter(path)
        with os.scandir(path) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _ours(below: bytes) -> bool:
    return any(name == b".git" or name.startswith(PREFIX) for name in below.split(b"/"))
