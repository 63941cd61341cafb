"""The session itself: process, output, input and callers, turned by one poll loop."""

from __future__ import annotations

import os
import select
import time

from rc_agent.holder.closing import Closing
from rc_agent.holder.control import Connection, Listener
from rc_agent.holder.inputs import Inputs
from rc_agent.holder.output import Output
from rc_agent.holder.process import Process
from rc_agent.holder.records import write_exit
from rc_agent.holder.requests import answer
from rc_protos.stream.marks import Mark, append_mark

# After the process has ended, what its orphans print is taken until they are quiet this long, or at most that long.
_QUIET = 0.2
_DRAIN = 2.0
_RECORD_RETRY = 1.0


class Session:
    """Owns everything of one session; `run` returns when nothing of it is left."""

    def __init__(self, process: Process, listener: Listener, wakeup: int, cap: int, size: tuple[int, int]) -> None:
        self.process = process
        self.size = size
        self.version = 1
        self.marks = 0
        self.out = Output(".", "out", process.out, cap)
        self.err = Output(".", "err", process.err, cap)
        self.inputs = Inputs(process.stdin, pty=process.pty)
        self.closing = Closing(os.getpid(), process.pid)
        self.exit: tuple[int, int] | None = None
        self.ended = False
        self._listener = listener
        self._wakeup = wakeup
        self._connections: dict[int, Connection] = {}
        self._poll = select.poll()
        self._polled: dict[int, int] = {}
        self._empty = False
        self._drain_until = 0.0
        self._quiet_at = 0.0
        self._record_at = 0.0

    @property
    def outputs(self) -> tuple[Output, Output]:
        """Both streams; a terminal's second one is never used."""
        return self.out, self.err

    @property
    def _stuck(self) -> int:
        """Bytes that were read and found no room yet."""
        return sum(output.unstored for output in self.outputs)

    @property
    def blocked(self) -> str:
        """Why output does not flow now, if it does not."""
        return self.out.blocked or self.err.blocked

    def run(self) -> None:
        """Turn until the session has ended, everybody was told and no descendant is left."""
        while not (self.ended and self._empty):
            self._turn()
        self._say_goodbye()

    def mark(self, kind: str, text: str = "") -> None:
        """Note what happened at this offset; a full disk may lose the note."""
        mark = Mark(
            self.out.log.end, kind, columns=self.size[0], rows=self.size[1], text=text, time=round(time.time(), 3)
        )
        try:
            append_mark(".", mark)
        except OSError:
            return
        self.marks += 1
        self.version += 1

    def resize(self, columns: int, rows: int) -> None:
        """Store what was printed for the old size, then change it."""
        self._pump()
        self.size = (columns, rows)
        self.mark("resize")
        self.process.set_size(columns, rows)

    def ack(self, out: int, err: int) -> None:
        """Everything before these offsets is safe elsewhere."""
        before = self.blocked
        moved = [self.out.ack(out), self.err.ack(err)]
        if any(moved):
            self._moved(before)

    def state(self) -> dict[str, object]:
        """What a caller may know, as it is now."""
        code, signal = self.exit or (0, 0)
        return {
            "t": "state",
            "version": self.version,
            "out_first": self.out.log.first,
            "out_end": self.out.log.end,
            "err_first": self.err.log.first,
            "err_end": self.err.log.end,
            "blocked": self.blocked,
            "marks": self.marks,
            "columns": self.size[0],
            "rows": self.size[1],
            "ended": int(self.ended),
            "code": code,
            "signal": signal,
        }

    def _turn(self) -> None:
        self._watch()
        events = dict(self._poll.poll(self._timeout()))
        self._reap(events)
        self._flow(events)
        self._serve(events)
        self.closing.step()
        self._maybe_end()
        self._tell()

    def _watch(self) -> None:
        """Bring the poll set in line with what is wanted now."""
        wanted = {self._wakeup: select.POLLIN, self._listener.fd: select.POLLIN}
        for output in self.outputs:
            if output.wants_read:
                wanted[output.fd] = select.POLLIN
        if self.inputs.wants_write:
            wanted[self.inputs.fd] = wanted.get(self.inputs.fd, 0) | select.POLLOUT
        for fd, connection in self._connections.items():
            mask = 0 if connection.requests else select.POLLIN
            wanted[fd] = mask | (select.POLLOUT if connection.wants_write else 0)
        for fd in self._polled.keys() - wanted.keys():
            self._poll.unregister(fd)
        for fd, mask in wanted.items():
            if self._polled.get(fd) != mask:
                self._poll.register(fd, mask)
        self._polled = wanted

    def _timeout(self) -> float | None:
        times = [output.retry_at for output in self.outputs if output.wants_retry]
        if self.closing.next_step_at and not self._empty:
            times.append(self.closing.next_step_at)
        if self.exit is not None and not self.ended:
            stuck = self.closing.give_up_at if self.closing.asked else None
            when = stuck if self._stuck else max(self._record_at, min(self._quiet_at, self._drain_until))
            times += [when] if when is not None else []
        if not times:
            return None
        return max(0.0, min(times) - time.monotonic()) * 1000 + 1

    def _reap(self, events: dict[int, int]) -> None:
        if self._wakeup not in events:
            return
        os.read(self._wakeup, 4096)
        while not self._empty:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._empty = True
                self.closing.done()
                return
            if pid == 0:
                return
            if pid == self.process.pid:
                self._process_ended(os.waitstatus_to_exitcode(status))

    def _process_ended(self, status: int) -> None:
        self.exit = (status, 0) if status >= 0 else (128 - status, -status)
        now = time.monotonic()
        self._drain_until = now + _DRAIN
        self._quiet_at = now + _QUIET
        self._pump()
        self.inputs.close()

    def _flow(self, events: dict[int, int]) -> None:
        now = time.monotonic()
        before = self.blocked
        moved = [output.retry() for output in self.outputs if output.wants_retry and now >= output.retry_at]
        if any(moved):
            self._moved(before)
        if any(output.fd in events for output in self.outputs):
            self._pump()
        if self.inputs.fd in events:
            self.inputs.flush()

    def _pump(self) -> None:
        before = self.blocked
        moved = [output.pump() for output in self.outputs]
        if any(moved):
            self._moved(before)
        if self.process.pty and self.out.fd < 0:
            # The terminal's one descriptor was the output's.
            self.process.out = -1
            self.inputs.close()

    def _moved(self, blocked_before: str) -> None:
        """Something was stored or got stuck: say so, and note it where readers of the log look."""
        self.version += 1
        self._quiet_at = time.monotonic() + _QUIET
        for output in self.outputs:
            if output.expired:
                output.expired = False
                self.mark("expired", output.name)
        if self.blocked != blocked_before:
            self.mark("blocked" if self.blocked else "unblocked", self.blocked)

    def _serve(self, events: dict[int, int]) -> None:
        if self._listener.fd in events:
            connection = self._listener.accept()
            if connection is not None:
                self._connections[connection.fd] = connection
        for connection in list(self._connections.values()):
            if events.get(connection.fd, 0) & (select.POLLIN | select.POLLHUP | select.POLLERR):
                connection.receive()
            while connection.requests and not (self.inputs.full and connection.requests[0].get("t") == b"input"):
                answer(self, connection, connection.requests.pop(0))
            connection.flush()

    def _maybe_end(self) -> None:
        if self.exit is None or self.ended:
            return
        now = time.monotonic()
        if self._stuck:
            if not (self.closing.asked and now >= self.closing.give_up_at):
                self._drain_until = now + _DRAIN
                return
            self.mark("blocked", f"{self._stuck} bytes could not be stored: {self.blocked}")
        elif any(output.fd >= 0 for output in self.outputs) and now < min(self._quiet_at, self._drain_until):
            return
        if now >= self._record_at:
            self._end(now)

    def _end(self, now: float) -> None:
        for output in self.outputs:
            output.close()
        self.process.out = -1
        code, signal = self.exit or (0, 0)
        try:
            write_exit(code, signal, self.out.log.end, self.err.log.end)
        except OSError:
            self._record_at = now + _RECORD_RETRY
            return
        self.ended = True
        self.version += 1

    def _tell(self) -> None:
        """Tell each caller what it waits for and has not been told."""
        for fd, connection in list(self._connections.items()):
            if -1 < connection.waits_beyond < self.version:
                connection.waits_beyond = -1
                connection.send(self.state())
            for writer, told in connection.told.items():
                news = (self.inputs.watermark(writer), int(self.inputs.fd < 0))
                if news != told:
                    connection.told[writer] = news
                    connection.send({"t": "mark", "writer": writer, "watermark": news[0], "closed": news[1]})
            if connection.closed:
                del self._connections[fd]
                connection.close()

    def _say_goodbye(self) -> None:
        deadline = time.monotonic() + 1.0
        for connection in self._connections.values():
            while connection.wants_write and not connection.closed and time.monotonic() < deadline:
                time.sleep(0.01)
                connection.flush()
            connection.close()
