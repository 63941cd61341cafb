"""file ls|cat|write|watch|find."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_cli.view.text import one_line
from rc_protos.model import FileInfo, FileKind

if TYPE_CHECKING:
    from rc_client.client import DaemonClient

_TYPES = {FileKind.FILE: stat.S_IFREG, FileKind.DIRECTORY: stat.S_IFDIR, FileKind.SYMLINK: stat.S_IFLNK}


def ls(task: str, path: str, *, recursive: bool, long: bool, pattern: str, outside: bool, as_json: bool) -> int:
    """Print what is in a folder: one name a line, one object with `as_json`."""

    async def whole(client: DaemonClient) -> int:
        from rc_client.files import TaskFiles

        files = TaskFiles(client, task, outside=outside)
        async for batch in files.listing(os.fsencode(path), recursive=recursive, pattern=os.fsencode(pattern)):
            # A folder that is not very big comes in one batch.
            for each in sorted(batch, key=lambda file: file.path):
                if as_json:
                    sys.stdout.write(_json(each) + "\n")
                else:
                    _print((_details(each) if long else b"") + each.path + _leads_to(each, long=long))
        return 0

    return with_client(whole)


def cat(task: str, path: str, *, outside: bool) -> int:
    """Print a file."""

    async def whole(client: DaemonClient) -> int:
        from rc_client.files import TaskFiles

        async for data in TaskFiles(client, task, outside=outside).read(os.fsencode(path)):
            sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return 0

    return with_client(whole)


def write(task: str, path: str, *, parents: bool, outside: bool) -> int:
    """Write what comes on stdin, once all of it is there."""
    import shutil
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.flush()

        async def whole(client: DaemonClient) -> int:
            from rc_client.files import TaskFiles

            files = TaskFiles(client, task, outside=outside)
            await files.upload(file.name, os.fsencode(path), make_parents=parents)
            return 0

        return with_client(whole)


def watch(task: str, path: str, *, poll: bool, outside: bool, as_json: bool) -> int:
    """Print changes as they happen, one a line."""

    async def whole(client: DaemonClient) -> int:
        from rc_client.files import TaskFiles

        async for name, change in TaskFiles(client, task, outside=outside).watch(os.fsencode(path), poll=poll):
            if as_json:
                sys.stdout.write(json.dumps({"path": os.fsdecode(name), "change": change}) + "\n")
            elif name:
                _print(change.encode() + b" " + name)
            else:
                sys.stderr.write("— watching\n" if change == "watching" else "— some changes were missed: look again\n")
            sys.stdout.flush()
            sys.stderr.flush()
        return 0

    return with_client(whole)


def _print(line: bytes) -> None:
    """To a terminal what cannot harm it; to everybody else the very bytes."""
    if sys.stdout.isatty():
        sys.stdout.write(one_line(os.fsdecode(line)) + "\n")
    else:
        sys.stdout.buffer.write(line + b"\n")


def _details(file: FileInfo) -> bytes:
    mode = stat.filemode(_TYPES.get(file.kind, 0) | file.mode)
    modified = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.modified))
    return f"{mode} {file.size:>12} {modified} ".encode()


def _leads_to(file: FileInfo, *, long: bool) -> bytes:
    return b" -> " + file.link_target if long and file.kind is FileKind.SYMLINK else b""


def _json(file: FileInfo) -> str:
    found = {
        "path": os.fsdecode(file.path),
        "kind": file.kind,
        "size": file.size,
        "mode": f"{file.mode:04o}",
        "modified": file.modified,
    }
    return json.dumps(found | ({"target": os.fsdecode(file.link_target)} if file.link_target else {}))
