"""inotify(7) by ctypes; where there is none, every call raises OSError."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass

# From <sys/inotify.h>.
MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, ISDIR = 0x4000, 0x8000, 0x40000000
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x1000000, 0x2000000, 0x4000000
_CHANGES = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE
# wd, mask, cookie, length of the name that follows.
_HEAD = struct.Struct("iIII")
_READ = 256 << 10


@dataclass(frozen=True)
class Happened:
    """One event; `watch` is the number that `add` gave."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """One queue of events."""

    def __init__(self) -> None:
        try:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._add = self._libc.inotify_add_watch
        except (OSError, AttributeError):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
        self.fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise _failed()

    def add(self, folder: bytes) -> int:
        """Watch a folder, not what is below it."""
        watch = self._add(self.fd, ctypes.c_char_p(folder), _CHANGES | _ONLYDIR | _DONT_FOLLOW | _EXCL_UNLINK)
        if watch < 0:
            raise _failed()
        return int(watch)

    def remove(self, watch: int) -> None:
        """Watch no more; IGNORED comes as the last event."""
        self._libc.inotify_rm_watch(self.fd, watch)

    def read(self) -> list[Happened]:
        """What has happened; nothing, if nothing has."""
        try:
            data = os.read(self.fd, _READ)
        except BlockingIOError:
            return []
        found, at = [], 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            found.append(Happened(watch, mask, data[at : at + length].rstrip(b"\0")))
            at += length
        return found

    def close(self) -> None:
        """End every watch."""
        os.close(self.fd)


def _failed() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
