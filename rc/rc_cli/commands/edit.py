"""`rc edit`: a file of the sandbox in the editor of this machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_protos.errors import ErrorCode, RemoteClaudeError, precondition, usage

if TYPE_CHECKING:
    from rc_client.client import DaemonClient
    from rc_client.files import TaskFiles


def edit(task: str, path: str, *, outside: bool) -> int:
    """Bring it, edit it, put it back if it is still what it was; else both are kept."""
    name = os.path.basename(path)
    if not name:
        raise usage(f"{path} is no file", f"such as: rc edit {task} README.md")

    async def whole(client: DaemonClient) -> int:
        from rc_client.files import TaskFiles

        files = TaskFiles(client, task, outside=outside)
        copy = Path(tempfile.mkdtemp(prefix="rc-edit-")) / name
        try:
            before = await _bring(files, os.fsencode(path), copy)
            await _run_editor(copy)
            if _digest(copy) == before:
                sys.stderr.write("— nothing was changed\n")
            else:
                await _put_back(files, path, copy, before)
        except RemoteClaudeError as error:
            if str(copy) in error.hint:
                raise
            shutil.rmtree(copy.parent)
            raise
        shutil.rmtree(copy.parent)
        return 0

    return with_client(whole)


async def _bring(files: TaskFiles, path: bytes, copy: Path) -> bytes:
    """The digest of what it was; a file that is not there is an empty one."""
    digest = hashlib.sha256()
    with copy.open("xb") as file:
        try:
            async for data in files.read(path, digest=digest):
                file.write(data)
        except RemoteClaudeError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise
    return digest.digest()


async def _run_editor(copy: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        code = await asyncio.to_thread(subprocess.call, [*shlex.split(editor), str(copy)])
    except OSError as error:
        raise precondition(f"{editor}: {error.strerror}", "EDITOR names another one") from None
    if code:
        raise precondition(f"{editor} ended with {code}", f"nothing was written; yours is {copy}")


async def _put_back(files: TaskFiles, path: str, copy: Path, before: bytes) -> None:
    try:
        await files.upload(str(copy), os.fsencode(path), if_sha256=before)
    except RemoteClaudeError as error:
        place = shlex.quote(f"{files.task}:{path}")
        hint = f"yours is {copy}; theirs: rc cp {place} . · yours over theirs: rc cp {shlex.quote(str(copy))} {place}"
        raise RemoteClaudeError(error.message, hint, code=error.code) from error


def _digest(copy: Path) -> bytes:
    return hashlib.sha256(copy.read_bytes()).digest()
