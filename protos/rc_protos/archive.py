"""Folders as tar streams, packed and unpacked on a thread at the other end of a pipe."""

from __future__ import annotations

import contextlib
import copy
import os
import secrets
import tarfile
from collections.abc import Sequence
from typing import BinaryIO

from rc_protos import errors


def pack(root: bytes, paths: Sequence[bytes], sink: int, *, shallow: bool = False) -> None:
    """Write a tar of `paths`, named relative to `root`, to the descriptor and close it; skip what is missing.

    `shallow`: of folders nothing but themselves.
    """
    with (
        open(sink, "wb", buffering=1 << 18) as file,
        tarfile.open(fileobj=file, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in paths or [b"."]:
            source = os.path.join(root, path)
            if os.path.lexists(source):
                archive.add(os.fsdecode(source), arcname=os.fsdecode(path), filter=_plain, recursive=not shallow)


def unpack(root: bytes, source: int, *, modes: int = 0o7777) -> int:
    """Unpack a tar read from the descriptor below `root`, and close it; return the number of files.

    `modes`: the bits of permissions that are taken over.
    """
    os.makedirs(root, exist_ok=True)
    with open(source, "rb", buffering=1 << 18) as file:
        count = _extract(os.fsdecode(root), file, modes)
        # The padding after the archive's end: whoever writes it shall not find a closed pipe.
        while file.read(1 << 18):
            pass
    return count


def inside(root: str, name: str) -> str:
    """The place of `name` below a folder; raises usage for one that leads out of it, through links too."""
    target = os.path.join(root, name.rstrip("/"))
    top, folder = os.path.realpath(root), os.path.realpath(os.path.dirname(target))
    if name.startswith("/") or ".." in name.split("/") or os.path.commonpath([top, folder]) != top:
        raise errors.usage(f"{name!r} leads out of its folder")
    return target


def _extract(root: str, file: BinaryIO, modes: int) -> int:
    count = 0
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            archive.extraction_filter = _as_it_is
            for member in archive:
                member.mode &= modes
                _put(archive, _checked(root, member), root)
                count += 1
    except tarfile.TarError as error:
        raise errors.usage(f"this is not a tar archive: {error}") from None
    return count


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, root: str) -> None:
    """A file is seen whole or not at all, whatever was there before."""
    if not member.isreg():
        archive.extract(member, root)
        return
    beside = copy.copy(member)
    beside.name = os.path.join(os.path.dirname(member.name), f".rc-{secrets.token_hex(8)}")
    temporary = os.path.join(root, beside.name)
    try:
        archive.extract(beside, root)
        os.rename(temporary, os.path.join(root, member.name))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _as_it_is(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    return member


def _checked(root: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The member, once its place is below the root: links may point anywhere, nothing is written through them."""
    target = inside(root, member.name)
    if member.islnk():
        inside(root, member.linkname)
    if member.ischr() or member.isblk():
        raise errors.usage(f"the archive's member {member.name!r} is a device")
    if os.path.islink(target):
        os.unlink(target)
    member.uid, member.gid = os.getuid(), os.getgid()
    member.uname = member.gname = ""
    return member


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member if member.isfile() or member.isdir() or member.issym() or member.islnk() or member.isfifo() else None
