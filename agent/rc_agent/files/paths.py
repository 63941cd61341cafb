"""Paths as callers give them, and files as messages."""

from __future__ import annotations

import os
import stat

from rc_agent.home import workspace
from rc_protos.errors import ErrorCode, RemoteClaudeError, usage
from rc_protos.v1 import file_pb2 as pb


def place(path: bytes, *, outside: bool, follow: bool = True) -> bytes:
    """Where a caller's path leads; one that leaves the workspace is refused unless `outside`.

    Relative ones start at the workspace. `follow`: a link counts as the file to which it leads, not as itself.
    """
    if b"\0" in path:
        raise usage("a path cannot hold a zero byte")
    top = os.path.realpath(os.fsencode(workspace()))
    full = os.path.join(os.fsencode(workspace()), path)
    if not outside and not _below(top, _real(full, follow=follow)):
        raise RemoteClaudeError(
            f"{os.fsdecode(path)} leads out of the workspace", "--outside allows that", code=ErrorCode.PERMISSION
        )
    return full


def _real(path: bytes, *, follow: bool) -> bytes:
    folder, name = os.path.split(path.rstrip(b"/"))
    if follow or name in (b"", b".", b".."):
        return os.path.realpath(path)
    return os.path.join(os.path.realpath(folder), name)


def _below(top: bytes, path: bytes) -> bool:
    return path == top or path.startswith(top.rstrip(b"/") + b"/")


def file_info(path: bytes, status: os.stat_result, shown_as: bytes) -> pb.FileInfo:
    """A file as a message; a link is shown itself, with its target."""
    kind = _KINDS.get(stat.S_IFMT(status.st_mode), pb.FILE_KIND_OTHER)
    info = pb.FileInfo(path=shown_as, kind=kind, size=status.st_size, mode=stat.S_IMODE(status.st_mode))
    modified = info.modified_at
    modified.seconds, modified.nanos = divmod(status.st_mtime_ns, 1_000_000_000)
    if kind == pb.FILE_KIND_SYMLINK:
        info.link_target = os.readlink(path)
    return info


_KINDS = {
    stat.S_IFREG: pb.FILE_KIND_FILE,
    stat.S_IFDIR: pb.FILE_KIND_DIRECTORY,
    stat.S_IFLNK: pb.FILE_KIND_SYMLINK,
}
