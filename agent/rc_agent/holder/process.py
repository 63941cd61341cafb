"""Starting the session's process on a PTY or on pipes."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios

from rc_agent import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class StartError(Exception):
    """The process could not be started; `number` is the errno, `step` what failed."""

    def __init__(self, number: int, step: str) -> None:
        super().__init__(f"{step}: {os.strerror(number)}")
        self.number = number
        self.step = step


class Process:
    """The session's own process and our ends of its descriptors; -1 where there is none."""

    def __init__(self, pid: int, stdin: int, out: int, err: int, *, pty: bool) -> None:
        self.pid = pid
        self.stdin = stdin
        self.out = out
        self.err = err
        self.pty = pty

    def set_size(self, columns: int, rows: int) -> None:
        """Change the terminal's size; the foreground group gets SIGWINCH even if it is the same size."""
        if not self.pty or self.out < 0:
            return
        before = fcntl.ioctl(self.out, termios.TIOCGWINSZ, bytes(8))
        size = window_size(columns, rows)
        fcntl.ioctl(self.out, termios.TIOCSWINSZ, size)
        if before[:4] == size[:4]:
            self.signal(system.SIGWINCH)

    def signal(self, number: int) -> None:
        """Signal the terminal's foreground group, or the process's own group on pipes."""
        group = self.pid
        if self.pty and self.out >= 0:
            try:
                group = os.tcgetpgrp(self.out) or self.pid
            except OSError:
                group = self.pid
        os.killpg(group, number)

    def end_of_file(self) -> bytes:
        """The character that ends input on the terminal as it is set now."""
        try:
            character: bytes = termios.tcgetattr(self.out)[6][termios.VEOF]
        except (termios.error, OSError):
            return b"\x04"
        return character


class Gate:
    """Holds the forked child back until the holder has written down who it is, and tells why an exec failed."""

    def __init__(self) -> None:
        self._go_read, self._go_write = os.pipe()
        self._error_read, self._error_write = os.pipe()

    def wait(self) -> None:
        """In the child: go on when told, end if the holder is gone."""
        os.close(self._go_write)
        if os.read(self._go_read, 1) != b"g":
            os._exit(127)

    def fail(self, number: int, step: str) -> None:
        """In the child: report and end."""
        os.write(self._error_write, b"%d %s" % (number, step.encode()))
        os._exit(127)

    def open(self) -> None:
        """In the holder: let the child go on and wait for its exec; raises StartError."""
        os.close(self._go_read)
        os.close(self._error_write)
        os.write(self._go_write, b"g")
        os.close(self._go_write)
        report = os.read(self._error_read, 4096)
        os.close(self._error_read)
        if report:
            number, _, step = report.partition(b" ")
            raise StartError(int(number), step.decode("utf-8", "replace"))


def window_size(columns: int, rows: int) -> bytes:
    """A struct winsize."""
    return b"".join(max(0, min(n, 65535)).to_bytes(2, sys.byteorder) for n in (rows, columns, 0, 0))


def prepare(spec: dict[str, Any]) -> tuple[Process, Gate]:
    """Fork the session's process; it runs its program once the gate is opened."""
    gate = Gate()
    ends = _open_pty(spec) if spec["pty"] else _open_pipes(spec)
    holder = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(spec, gate, ends[0], holder)
    for fd in set(ends[0]):
        os.close(fd)
    stdin, out, err = ends[1]
    for fd in (stdin, out, err):
        if fd >= 0:
            os.set_blocking(fd, False)
    return Process(pid, stdin, out, err, pty=bool(spec["pty"])), gate


def _open_pty(spec: dict[str, Any]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, window_size(spec["columns"], spec["rows"]))
    return (slave, slave, slave), (master, master, -1)


def _open_pipes(spec: dict[str, Any]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    if spec["stdin"]:
        stdin_read, stdin_write = os.pipe()
    else:
        stdin_read, stdin_write = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    return (stdin_read, out_write, err_write), (stdin_write, out_read, err_read)


def _become(spec: dict[str, Any], gate: Gate, ends: tuple[int, int, int], holder: int) -> None:
    """In the child: turn into the program; never returns."""
    step = "cannot start"
    try:
        os.setsid()
        if not system.die_with_parent(holder):
            os._exit(127)
        gate.wait()
        step = "cannot set up the terminal" if spec["pty"] else step
        if spec["pty"]:
            fcntl.ioctl(ends[0], termios.TIOCSCTTY, 0)
        for target, fd in enumerate(ends):
            os.dup2(fd, target)
        step = f"cannot enter {os.fsdecode(spec['directory'])}"
        os.chdir(spec["directory"])
        os.umask(0o022)
        system.default_signals()
        step = f"cannot run {os.fsdecode(spec['argv'][0])}"
        environment = {os.fsencode(key): value for key, value in spec["environment"].items()}
        os.execvpe(spec["argv"][0], spec["argv"], environment)  # noqa: S606
    except OSError as error:
        gate.fail(error.errno or errno.EIO, step)
    except BaseException:
        gate.fail(errno.EINVAL, step)
