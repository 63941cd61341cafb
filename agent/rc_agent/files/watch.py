"""Changes of a tree as they happen: told by the system, or found by looking again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from rc_agent.files import inotify
from rc_agent.files.ignored import kept, walk
from rc_protos.v1 import file_pb2 as pb

# Between two messages: a file that is written all the time is told of so often.
PAUSE = 0.05
POLL_SECONDS = 1.0


async def watch(folder: bytes, shown_as: bytes, *, poll: bool) -> AsyncGenerator[pb.WatchFilesResponse, None]:
    """An empty message once it watches, then changes, until the folder is gone."""
    told = False
    if not poll:
        try:
            async with aclosing(_listen(folder, shown_as)) as answers:
                async for answer in answers:
                    told = True
                    yield answer
            return
        except OSError:
            # No inotify, or no more watches: what follows needs none.
            pass
    known = await asyncio.to_thread(_look, folder)
    yield pb.WatchFilesResponse(missed=told)
    while os.path.isdir(folder):
        await asyncio.sleep(POLL_SECONDS)
        found = await asyncio.to_thread(_look, folder)
        changed = {path for path in known.keys() | found.keys() if known.get(path) != found.get(path)}
        known = found
        if changed:
            yield _answer(folder, shown_as, changed)


async def _listen(folder: bytes, shown_as: bytes) -> AsyncGenerator[pb.WatchFilesResponse, None]:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    tree = _Tree(folder)
    try:
        loop.add_reader(tree.queue.fd, ready.set)
        await asyncio.to_thread(tree.enter, folder)
        yield pb.WatchFilesResponse()
        while not tree.gone:
            await ready.wait()
            ready.clear()
            happened = tree.queue.read()
            changed, missed = await asyncio.to_thread(tree.take, happened)
            if changed or missed:
                yield _answer(folder, shown_as, changed, missed=missed)
                await asyncio.sleep(PAUSE)
    finally:
        loop.remove_reader(tree.queue.fd)
        tree.queue.close()


class _Tree:
    """Which folders are watched under which number."""

    def __init__(self, top: bytes) -> None:
        self.queue = inotify.Inotify()
        self.gone = False
        self._top = top
        self._folders: dict[int, bytes] = {}

    def enter(self, folder: bytes) -> list[bytes]:
        """Watch a folder and all below it; what is in there."""
        return [entry.path for entry in walk(self._top, folder, self._add)]

    def take(self, happened: Iterable[inotify.Happened]) -> tuple[set[bytes], bool]:
        """What has changed, and whether something was missed."""
        changed: set[bytes] = set()
        new: list[bytes] = []
        missed = False
        for each in happened:
            if each.mask & inotify.OVERFLOW:
                missed = True
            elif each.mask & inotify.IGNORED:
                self.gone |= self._folders.pop(each.watch, b"") == self._top
            elif each.watch in self._folders and each.name:
                path = os.path.join(self._folders[each.watch], each.name)
                changed.add(path)
                if each.mask & inotify.ISDIR and each.mask & inotify.MOVED_FROM:
                    self._leave(path)
                elif each.mask & inotify.ISDIR and each.mask & (inotify.CREATE | inotify.MOVED_TO):
                    new.append(path)
        changed = kept(self._top, changed)
        for path in new:
            if path in changed:
                changed.update(self.enter(path))
        if missed or any(os.path.basename(path) == b".gitignore" for path in changed):
            # Folders that are unknown, or no longer ignored.
            self.enter(self._top)
        return changed, missed

    def _add(self, folder: bytes) -> None:
        self._folders[self.queue.add(folder)] = folder

    def _leave(self, folder: bytes) -> None:
        for number, path in list(self._folders.items()):
            if path == folder or path.startswith(folder + b"/"):
                del self._folders[number]
                self.queue.remove(number)


def _look(folder: bytes) -> dict[bytes, tuple[int, ...]]:
    found = {}
    for entry in walk(folder, folder):
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        # A folder's own time and size change with what is in it, which is told by itself.
        what = () if entry.is_dir(follow_symlinks=False) else (status.st_mtime_ns, status.st_size, status.st_ino)
        found[entry.path] = (status.st_mode, *what)
    return found


def _answer(folder: bytes, shown_as: bytes, changed: Iterable[bytes], *, missed: bool = False) -> pb.WatchFilesResponse:
    above = len(folder.rstrip(b"/")) + 1
    changes = [
        pb.FileChange(path=os.path.join(shown_as, path[above:]), removed=not os.path.lexists(path))
        for path in sorted(changed)
    ]
    return pb.WatchFilesResponse(changes=changes, missed=missed)
