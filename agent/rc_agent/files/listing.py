"""Folders, listed in batches."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator

from rc_agent.files.paths import file_info
from rc_protos.v1 import file_pb2 as pb

BATCH = 4096


def batches(folder: bytes, shown_as: bytes, *, recursive: bool, pattern: bytes = b"") -> Iterator[list[pb.FileInfo]]:
    """What is in a folder, or everything below it, of which the names fit; links are not followed."""
    batch: list[pb.FileInfo] = []
    fits = _fitting(pattern, len(os.path.join(shown_as, b"")))
    for entry, name in _entries(folder, shown_as, recursive=recursive):
        if not fits(name, entry.name):
            continue
        try:
            batch.append(file_info(entry.path, entry.stat(follow_symlinks=False), name))
        except FileNotFoundError:
            continue
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _entries(folder: bytes, shown_as: bytes, *, recursive: bool) -> Iterator[tuple[os.DirEntry[bytes], bytes]]:
    folders = [(folder, shown_as)]
    while folders:
        path, shown = folders.pop()
        try:
            entries = os.scandir(path)
        except OSError:
            # Of folders further down, what cannot be read is left out.
            if path is folder:
                raise
            continue
        above = os.path.join(shown, b"")
        with entries:
            for entry in entries:
                name = above + entry.name
                yield entry, name
                if recursive and entry.is_dir(follow_symlinks=False):
                    folders.append((entry.path, name))


def _fitting(pattern: bytes, above: int) -> Callable[[bytes, bytes], bool]:
    """Whether a file fits, by its path as shown and its name; `above`: length of what is shown before every path."""
    if not pattern:
        return lambda path, name: True
    match = re.compile(fnmatch.translate(os.fsdecode(pattern))).match
    if b"/" in pattern:
        return lambda path, name: match(os.fsdecode(path[above:])) is not None
    return lambda path, name: match(os.fsdecode(name)) is not None
