"""Paths as callers give them, and files as messages."""

from __future__ import annotations

import os
import stat

from rc_agent.home import workspace
from rc_protos import errors
from rc_protos.v1 import file_pb2 as pb


def absolute(path: bytes) -> bytes:
    """A caller's path; relative ones start at the workspace."""
    if b"\0" in path:
        raise errors.usage("a path cannot hold a zero byte")
    return os.path.join(os.fsencode(workspace()), path)


def file_info(path: bytes, status: os.stat_result, shown_as: bytes) -> pb.FileInfo:
    """A file as a message; a link is shown itself, with its target."""
    info = pb.FileInfo(path=shown_as, kind=_kind(status.st_mode), size=status.st_size)
    info.mode = stat.S_IMODE(status.st_mode)
    info.modified_at.FromNanoseconds(status.st_mtime_ns)
    if info.kind == pb.FILE_KIND_SYMLINK:
        info.link_target = os.readlink(path)
    return info


def _kind(mode: int) -> pb.FileKind:
    if stat.S_ISREG(mode):
        return pb.FILE_KIND_FILE
    if stat.S_ISDIR(mode):
        return pb.FILE_KIND_DIRECTORY
    if stat.S_ISLNK(mode):
        return pb.FILE_KIND_SYMLINK
    return pb.FILE_KIND_OTHER
