"""A session as a face uses it: output once and in order, input typed once, whatever is cut meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import grpc

from rc_client.channel import PROTOCOL_METADATA, streaming, translated
from rc_client.client import DaemonClient
from rc_protos import ids
from rc_protos.background import Background
from rc_protos.convert import from_message
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.model import ExitStatus, TerminalSize
from rc_protos.stream.resume import InputBuffer, OutputCursor
from rc_protos.v1 import session_pb2 as pb

PAUSE, LONGEST_PAUSE = 0.05, 1.0
# Input typed while the link is away is kept up to here; then the keyboard waits.
INPUT_MOST = 1 << 20
PIECE = 1 << 16
# Shows the cursor, ends mouse and bracketed paste: what a program may have left on.
PLAIN = b"\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[0m"
_NEW_SCREEN = b"\x1b[?1049l" + PLAIN + b"\x1b[!p\x1b[H\x1b[2J"


@dataclass(frozen=True)
class Output:
    """Bytes of a session: stream "out" or "err"."""

    stream: str
    data: bytes


@dataclass(frozen=True)
class Ended:
    """The last item of a session that is over."""

    status: ExitStatus


class AttachedSession:
    """Attach to a session of a sandbox; `on_link(up)` hears of cuts and of their end."""

    def __init__(
        self,
        client: DaemonClient,
        sandbox_id: str,
        session_id: str,
        *,
        on_link: Callable[[bool], None] = lambda up: None,
    ) -> None:
        self.session_id = session_id
        self.sandbox_id = sandbox_id
        self._client = client
        self._on_link = on_link
        self._metadata = (*PROTOCOL_METADATA, ("rc-sandbox", sandbox_id))
        self._cursors = {"out": OutputCursor(), "err": OutputCursor()}
        self._input = InputBuffer(ids.new_id())
        self._ending = False
        self._end_sent = False
        self._typed = asyncio.Event()
        self._acked = asyncio.Event()
        self._over = False
        self._size: TerminalSize | None = None
        self._resizer: asyncio.Task[None] | None = None
        self._background = Background(f"session {session_id}")
        self._writer: asyncio.Task[None] | None = None

    async def output(
        self,
        *,
        screen: TerminalSize | None = None,
        follow: bool = True,
        hold: bool = False,
        out_offset: int = 0,
        err_offset: int = 0,
    ) -> AsyncIterator[Output | Ended]:
        """Everything from the offsets on; with `screen`, the screen as it is and then live.

        With `hold`, the process is made to wait for a viewer that is slow, as at a pipe.
        A screen's viewer who is so slow that bytes expire is given the screen anew; any other one gets precondition.
        """
        self._cursors = {"out": OutputCursor(out_offset), "err": OutputCursor(err_offset)}
        fresh, pause, away = screen is not None, PAUSE, 0.0
        self._size = screen
        while True:
            late = False
            request = pb.AttachSessionRequest(
                session_id=self.session_id,
                out_offset=self._cursors["out"].offset,
                err_offset=self._cursors["err"].offset,
                screen=fresh,
                no_follow=not follow,
                hold=hold,
            )
            if self._size is not None:
                request.size.columns, request.size.rows = self._size.columns, self._size.rows
            try:
                with streaming(self._client.sessions.AttachSession(request, metadata=self._metadata)) as items:
                    async for item in items:
                        if pause != PAUSE:
                            self._on_link(True)
                        pause, away = PAUSE, 0.0
                        found = self._take(item)
                        fresh = fresh and item.WhichOneof("item") != "data"
                        if isinstance(found, Ended):
                            self._end()
                        if found is not None:
                            yield found
                    if self._over:
                        return
                if not follow:
                    return
            except RemoteClaudeError as error:
                late = screen is not None and not fresh and error.code is ErrorCode.PRECONDITION
                if not late:
                    self._cut(error)
            if late:
                # What comes next has expired, so slow is the viewer: it gets the screen as it is by now.
                fresh = True
                yield Output("out", _NEW_SCREEN)
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            away += pause
            pause = min(pause * 2, LONGEST_PAUSE)
            await self._client.revive(away)

    async def write(self, data: bytes) -> None:
        """Type; returns at once unless very much waits for a link that is away."""
        while self._input.unacked > INPUT_MOST and not self._over:
            self._acked.clear()
            await self._acked.wait()
        self._input.append(data)
        self._wake()

    def end_input(self) -> None:
        """Half-close: end of stdin, or EOT on a PTY, after everything typed."""
        self._ending = True
        self._wake()

    async def flush(self, timeout: float) -> None:
        """Wait until everything typed has reached the process; gives up silently at the deadline."""
        try:
            async with asyncio.timeout(timeout):
                while self._input.unacked and not self._over:
                    self._acked.clear()
                    await self._acked.wait()
        except TimeoutError:
            return

    async def resize(self, size: TerminalSize) -> None:
        """Tell the session its new size; as soon as the link is back if it is away."""
        self._size = size
        if self._resizer is None or self._resizer.done():
            self._resizer = self._background.spawn(self._resize(), "resize")

    async def close(self) -> None:
        """Detach; the session lives on."""
        self._end()
        await self._background.close()

    async def _resize(self) -> None:
        told, pause = None, PAUSE
        while told != self._size and self._size is not None and not self._over:
            size = self._size
            try:
                await self._client.resize_session(self.sandbox_id, self.session_id, size)
                told, pause = size, PAUSE
            except RemoteClaudeError as error:
                if error.code not in (ErrorCode.UNAVAILABLE, ErrorCode.TIMEOUT):
                    return
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                pause = min(pause * 2, LONGEST_PAUSE)

    def _end(self) -> None:
        """Nothing that waits for the session need wait any longer."""
        self._over = True
        self._acked.set()

    def _cut(self, error: RemoteClaudeError) -> None:
        """Heals by itself; raises the error if it is none."""
        if error.code is not ErrorCode.UNAVAILABLE:
            raise error
        self._on_link(False)

    def _wake(self) -> None:
        self._typed.set()
        if self._writer is None or self._writer.done():
            self._writer = self._background.spawn(self._write_all(), "input")

    def _take(self, item: Any) -> Output | Ended | None:
        which = item.WhichOneof("item")
        if which == "data":
            name = "err" if item.data.stream == pb.STREAM_ERR else "out"
            new = self._cursors[name].take(item.data.offset, item.data.data)
            return Output(name, new) if new else None
        if which == "preamble":
            self._cursors["out"] = OutputCursor(item.preamble.out_offset)
            return Output("out", item.preamble.data) if item.preamble.data else None
        if which == "exit":
            return Ended(from_message(item.exit, ExitStatus))
        return None

    async def _write_all(self) -> None:
        """Keep one call open and send what is typed; after a cut, what was not acknowledged goes again, numbered."""
        pause = PAUSE
        while not self._over:
            try:
                with translated():
                    await self._write_once()
                return
            except RemoteClaudeError as error:
                if error.code is not ErrorCode.UNAVAILABLE:
                    # The session has ended, or reads no more: what was typed is for nobody.
                    self._input.ack(self._input.next)
                    self._acked.set()
                    return
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _write_once(self) -> None:
        call = self._client.sessions.WriteSession(metadata=self._metadata)
        sent = self._input.watermark
        self._end_sent = False
        failure: list[grpc.aio.AioRpcError] = []
        acks = self._background.spawn(self._read_acks(call, failure), "acks")
        try:
            while not acks.done():
                sent, data = self._input.pending(sent, PIECE)
                end = self._ending and sent + len(data) == self._input.next
                if data or (end and not self._end_sent):
                    request = pb.WriteSessionRequest(
                        session_id=self.session_id,
                        writer_id=self._input.writer_id,
                        from_byte=sent,
                        data=data,
                        end=end,
                    )
                    try:
                        await call.write(request)
                    except asyncio.InvalidStateError:
                        # The call has ended already: the reading side is about to learn why.
                        await asyncio.wait([acks])
                        break
                    sent += len(data)
                    self._end_sent = end
                    continue
                self._typed.clear()
                await _first(acks, self._typed)
            if failure:
                raise failure[0]
        finally:
            acks.cancel()
            call.cancel()

    async def _read_acks(self, call: Any, failure: list[grpc.aio.AioRpcError]) -> None:
        try:
            async for answer in call:
                self._input.ack(answer.watermark)
                self._acked.set()
        except grpc.aio.AioRpcError as error:
            failure.append(error)


async def _first(task: asyncio.Task[None], event: asyncio.Event) -> None:
    """Wait for either."""
    task.add_done_callback(lambda _: event.set())
    await event.wait()
