"""SFTP, version 3, for one client: runs inside the sandbox, sent there as text, so the standard library is all it has.

It prints the path of a socket and serves the first who connects. The protocol: draft-ietf-secsh-filexfer-02, and of
OpenSSH's extensions (PROTOCOL, section 4) those that its clients use.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

WAIT_SECONDS = 60.0
MOST = 1 << 20
NAMES = 100

# What is asked, and what is answered.
INIT, VERSION = 1, 2
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
OK, EOF, NO_SUCH_FILE, DENIED, FAILURE, BAD_MESSAGE, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
SIZE, OWNER, MODE, TIMES, EXTENDED = 1, 2, 4, 8, 0x80000000
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
EXTENSIONS = {
    b"posix-rename@openssh.com": b"1",
    b"hardlink@openssh.com": b"1",
    b"fsync@openssh.com": b"1",
    b"lsetstat@openssh.com": b"1",
    b"expand-path@openssh.com": b"1",
}


class Packet:
    """A request, read field by field."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, kind: str = "I") -> int:
        """32 bits, or another kind of struct's."""
        (value,) = struct.unpack_from(">" + kind, self._data, self._at)
        self._at += struct.calcsize(kind)
        return int(value)

    def text(self) -> bytes:
        """A string with its length before it."""
        length = self.number()
        self._at += length
        if self._at > len(self._data):
            raise struct.error("the packet is too short")
        return self._data[self._at - length : self._at]

    def attributes(self) -> dict[int, tuple[int, ...]]:
        """Those that are given, by their flag."""
        flags = self.number()
        found: dict[int, tuple[int, ...]] = {}
        if flags & SIZE:
            found[SIZE] = (self.number("Q"),)
        for flag, count in ((OWNER, 2), (MODE, 1), (TIMES, 2)):
            if flags & flag:
                found[flag] = tuple(self.number() for _ in range(count))
        return found


class Server:
    """Answers one request after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._input = connection.makefile("rb", buffering=MOST)
        self._files: dict[bytes, int] = {}
        self._folders: dict[bytes, Iterator[os.DirEntry[bytes]]] = {}
        self._handles = 0

    def serve(self) -> None:
        """Until the client hangs up."""
        while len(head := self._input.read(4)) == 4:
            (length,) = struct.unpack(">I", head)
            if not 0 < length <= MOST or len(data := self._input.read(length)) < length:
                return
            self._send(self._answer(data[0], Packet(data[1:])))

    def _answer(self, kind: int, packet: Packet) -> bytes:
        if kind == INIT:
            more = b"".join(_text(name) + _text(value) for name, value in EXTENSIONS.items())
            return bytes([VERSION]) + _number(3) + more
        number = packet.number()
        try:
            answer = HANDLERS.get(kind, Server._unsupported)(self, packet)
        except FileNotFoundError as error:
            answer = _status(NO_SUCH_FILE, error)
        except PermissionError as error:
            answer = _status(DENIED, error)
        except OSError as error:
            answer = _status(FAILURE, error)
        except (struct.error, ValueError, KeyError) as error:
            answer = _status(BAD_MESSAGE, error)
        return answer[:1] + _number(number) + answer[1:]

    def _send(self, answer: bytes) -> None:
        self._connection.sendall(_number(len(answer)) + answer)

    def _unsupported(self, packet: Packet) -> bytes:
        return _status(UNSUPPORTED)

    def _handle(self) -> bytes:
        self._handles += 1
        return b"%d" % self._handles

    # files

    def _open(self, packet: Packet) -> bytes:
        path, wanted, attributes = packet.text(), packet.number(), packet.attributes()
        flags = {READ: os.O_RDONLY, WRITE: os.O_WRONLY, READ | WRITE: os.O_RDWR}.get(wanted & 3, os.O_RDONLY)
        named = {APPEND: os.O_APPEND, CREATE: os.O_CREAT, TRUNCATE: os.O_TRUNC, EXCLUSIVE: os.O_EXCL}
        for flag, ours in named.items():
            flags |= ours if wanted & flag else 0
        mode = stat.S_IMODE(attributes.get(MODE, (0o666,))[0])
        handle = self._handle()
        # A FIFO that nobody reads shall not stop us.
        self._files[handle] = os.open(path, flags | os.O_NONBLOCK, mode)
        return bytes([HANDLE]) + _text(handle)

    def _close(self, packet: Packet) -> bytes:
        handle = packet.text()
        if handle in self._files:
            os.close(self._files.pop(handle))
        else:
            del self._folders[handle]
        return _status(OK)

    def _read(self, packet: Packet) -> bytes:
        file, offset, length = self._files[packet.text()], packet.number("Q"), packet.number()
        data = os.pread(file, min(length, MOST - 1024), offset)
        return bytes([DATA]) + _text(data) if data else _status(EOF)

    def _write(self, packet: Packet) -> bytes:
        file, offset, data = self._files[packet.text()], packet.number("Q"), memoryview(packet.text())
        while data:
            done = os.pwrite(file, data, offset)
            offset, data = offset + done, data[done:]
        return _status(OK)

    def _fsync(self, packet: Packet) -> bytes:
        os.fsync(self._files[packet.text()])
        return _status(OK)

    # attributes

    def _lstat(self, packet: Packet) -> bytes:
        return bytes([ATTRS]) + _attributes(os.lstat(packet.text()))

    def _stat(self, packet: Packet) -> bytes:
        return bytes([ATTRS]) + _attributes(os.stat(packet.text()))

    def _fstat(self, packet: Packet) -> bytes:
        return bytes([ATTRS]) + _attributes(os.fstat(self._files[packet.text()]))

    def _setstat(self, packet: Packet) -> bytes:
        return _set(packet.text(), packet.attributes())

    def _fsetstat(self, packet: Packet) -> bytes:
        return _set(self._files[packet.text()], packet.attributes())

    def _lsetstat(self, packet: Packet) -> bytes:
        path, attributes = packet.text(), packet.attributes()
        if OWNER in attributes:
            os.lchown(path, *attributes[OWNER])
        if TIMES in attributes:
            os.utime(path, attributes[TIMES], follow_symlinks=False)  # type: ignore[arg-type]
        return _status(OK)

    # names

    def _opendir(self, packet: Packet) -> bytes:
        handle = self._handle()
        self._folders[handle] = os.scandir(packet.text() or b".")
        return bytes([HANDLE]) + _text(handle)

    def _readdir(self, packet: Packet) -> bytes:
        found: list[tuple[bytes, os.stat_result]] = []
        for entry in self._folders[packet.text()]:
            with contextlib.suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False)))
            if len(found) == NAMES:
                break
        if not found:
            return _status(EOF)
        names = [_text(name) + _text(_line(name, status)) + _attributes(status) for name, status in found]
        return bytes([NAME]) + _number(len(names)) + b"".join(names)

    def _remove(self, packet: Packet) -> bytes:
        os.unlink(packet.text())
        return _status(OK)

    def _mkdir(self, packet: Packet) -> bytes:
        path, attributes = packet.text(), packet.attributes()
        os.mkdir(path, stat.S_IMODE(attributes.get(MODE, (0o777,))[0]))
        return _status(OK)

    def _rmdir(self, packet: Packet) -> bytes:
        os.rmdir(packet.text())
        return _status(OK)

    def _realpath(self, packet: Packet) -> bytes:
        return _name(os.path.realpath(packet.text() or b"."))

    def _expand(self, packet: Packet) -> bytes:
        return _name(os.path.realpath(os.path.expanduser(packet.text())))

    def _readlink(self, packet: Packet) -> bytes:
        return _name(os.readlink(packet.text()))

    def _rename(self, packet: Packet) -> bytes:
        old, new = packet.text(), packet.text()
        if os.path.lexists(new):
            raise FileExistsError(17, "it exists")
        os.rename(old, new)
        return _status(OK)

    def _replace(self, packet: Packet) -> bytes:
        os.rename(packet.text(), packet.text())
        return _status(OK)

    def _symlink(self, packet: Packet) -> bytes:
        # The target first: as OpenSSH does it, against the draft.
        os.symlink(packet.text(), packet.text())
        return _status(OK)

    def _hardlink(self, packet: Packet) -> bytes:
        os.link(packet.text(), packet.text(), follow_symlinks=False)
        return _status(OK)

    def _extended(self, packet: Packet) -> bytes:
        return EXTENDED_HANDLERS.get(packet.text(), Server._unsupported)(self, packet)


Handler = Callable[[Server, Packet], bytes]
HANDLERS: dict[int, Handler] = {
    3: Server._open,
    4: Server._close,
    5: Server._read,
    6: Server._write,
    7: Server._lstat,
    8: Server._fstat,
    9: Server._setstat,
    10: Server._fsetstat,
    11: Server._opendir,
    12: Server._readdir,
    13: Server._remove,
    14: Server._mkdir,
    15: Server._rmdir,
    16: Server._realpath,
    17: Server._stat,
    18: Server._rename,
    19: Server._readlink,
    20: Server._symlink,
    200: Server._extended,
}
EXTENDED_HANDLERS: dict[bytes, Handler] = {
    b"posix-rename@openssh.com": Server._replace,
    b"hardlink@openssh.com": Server._hardlink,
    b"fsync@openssh.com": Server._fsync,
    b"lsetstat@openssh.com": Server._lsetstat,
    b"expand-path@openssh.com": Server._expand,
}


def _number(value: int) -> bytes:
    return struct.pack(">I", value)


def _text(data: bytes) -> bytes:
    return _number(len(data)) + data


def _status(code: int, error: BaseException | None = None) -> bytes:
    words = getattr(error, "strerror", None) or str(error or "")
    return bytes([STATUS]) + _number(code) + _text(words.encode()) + _text(b"")


def _name(path: bytes) -> bytes:
    return bytes([NAME]) + _number(1) + _text(path) + _text(path) + _number(0)


def _attributes(status: os.stat_result) -> bytes:
    times = [max(0, min(int(each), 0xFFFFFFFF)) for each in (status.st_atime, status.st_mtime)]
    fields = (SIZE | OWNER | MODE | TIMES, status.st_size, status.st_uid, status.st_gid, status.st_mode, *times)
    return struct.pack(">IQIIIII", *fields)


def _set(target: bytes | int, attributes: dict[int, tuple[int, ...]]) -> bytes:
    if SIZE in attributes:
        os.truncate(target, *attributes[SIZE])
    if OWNER in attributes:
        os.chown(target, *attributes[OWNER])
    if MODE in attributes:
        os.chmod(target, stat.S_IMODE(*attributes[MODE]))
    if TIMES in attributes:
        os.utime(target, attributes[TIMES])  # type: ignore[arg-type]
    return _status(OK)


def _line(name: bytes, status: os.stat_result) -> bytes:
    """As `ls -l` has it: what sftp shows."""
    when = time.strftime("%b %d %H:%M", time.localtime(status.st_mtime))
    words = f"{stat.filemode(status.st_mode)} {status.st_nlink:4} {status.st_uid:<8} {status.st_gid:<8}"
    return f"{words} {status.st_size:12} {when} ".encode() + name


def main() -> None:
    """Serve one client."""
    folder = tempfile.mkdtemp(prefix="rc-sftp-")
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{folder}/socket")
            listener.listen(1)
            listener.settimeout(WAIT_SECONDS)
            sys.stdout.write(f"{folder}/socket\n")
            sys.stdout.flush()
            connection, _ = listener.accept()
    finally:
        shutil.rmtree(folder)
    with connection:
        connection.settimeout(None)
        Server(connection).serve()


if __name__ == "__main__":
    main()
