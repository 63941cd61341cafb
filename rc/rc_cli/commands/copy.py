"""`rc cp`: files and folders into a task's sandbox and out of it."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rc_cli.loop import with_client
from rc_cli.view.progress import Progress
from rc_cli.view.text import one_line
from rc_protos.errors import ErrorCode, RemoteClaudeError, precondition, usage
from rc_protos.model import FileKind

if TYPE_CHECKING:
    from rc_client.client import DaemonClient
    from rc_client.files import TaskFiles


@dataclass(frozen=True)
class Place:
    """A path, of a task's sandbox or, without a task, of this machine."""

    task: str
    path: str

    @property
    def name(self) -> str:
        """What it is called where it is put; nothing, if that is the place itself."""
        name = os.path.basename(self.path.rstrip("/"))
        return "" if name in (".", "..") else name


def copy(places: Sequence[str], *, recursive: bool, outside: bool) -> int:
    """The last place is the target, as with cp."""
    *sources, target = [_parse(place) for place in places]
    if not sources:
        raise usage("there is no target", f"such as: rc cp {places[0]} .")
    if any(bool(source.task) is bool(target.task) for source in sources):
        raise usage("one side is a sandbox, the other is this machine", "such as: rc cp ID:path . · rc cp file ID:")

    async def whole(client: DaemonClient) -> int:
        from rc_client.files import TaskFiles

        progress = Progress()
        try:
            for source in sources:
                task = source.task or target.task
                files = TaskFiles(client, task, outside=outside, moved=progress.moved)
                one = _Copy(files, progress, recursive=recursive, several=len(sources) > 1)
                await (one.out if source.task else one.into)(source, target)
        finally:
            progress.end()
        return 0

    return with_client(whole)


class _Copy:
    """One source at a time."""

    def __init__(self, files: TaskFiles, progress: Progress, *, recursive: bool, several: bool) -> None:
        self._files, self._progress = files, progress
        self._recursive, self._several = recursive, several

    async def out(self, source: Place, target: Place) -> None:
        """From the sandbox."""
        path = os.fsencode(source.path)
        found = await self._files.stat(path, follow=True)
        place = self._place(source, target.path, is_folder=os.path.isdir(target.path))
        self._progress.begin(source.name, found.size if found.kind is FileKind.FILE else 0)
        if self._is_tree(source, is_folder=found.kind is FileKind.DIRECTORY):
            from rc_client.trees import download_tree

            self._left_out(await download_tree(self._files, path, place))
        else:
            # A link of this machine stays one.
            await self._files.download(path, os.path.realpath(place))

    async def into(self, source: Place, target: Place) -> None:
        """Into the sandbox."""
        from rc_client.parts import local

        place = os.fsencode(self._place(source, target.path, is_folder=await self._is_folder(target.path)))
        with local(source.path):
            status = os.stat(source.path)
        self._progress.begin(source.name, status.st_size if stat.S_ISREG(status.st_mode) else 0)
        if self._is_tree(source, is_folder=stat.S_ISDIR(status.st_mode)):
            from rc_client.trees import upload_tree

            self._left_out(await upload_tree(self._files, source.path, place))
            return
        if not stat.S_ISREG(status.st_mode):
            raise precondition(f"{source.path} is no file", "rc file write takes what comes from a pipe")
        await self._files.upload(source.path, place, mode=stat.S_IMODE(status.st_mode))

    async def _is_folder(self, path: str) -> bool:
        try:
            return (await self._files.stat(os.fsencode(path), follow=True)).kind is FileKind.DIRECTORY
        except RemoteClaudeError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise
            return False

    def _place(self, source: Place, target: str, *, is_folder: bool) -> str:
        if is_folder:
            return os.path.join(target, source.name) if source.name else target
        if self._several or target.endswith("/"):
            raise precondition(f"{target} is no folder", "make it first, or name the target")
        return target

    def _is_tree(self, source: Place, *, is_folder: bool) -> bool:
        if is_folder and not self._recursive:
            raise usage(f"{source.path or '.'} is a folder", "-r copies folders")
        return is_folder

    def _left_out(self, names: Sequence[bytes]) -> None:
        self._progress.end()
        for name in names:
            sys.stderr.write(f"— {one_line(os.fsdecode(name))} is no file, folder or link: left out\n")


def _parse(text: str) -> Place:
    """`ID:path`; with a slash before the colon it is a path of this machine, as for scp."""
    task, colon, path = text.partition(":")
    return Place(task, path) if colon and task and "/" not in task else Place("", text)
