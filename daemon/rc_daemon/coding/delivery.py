"""Brings the bytes that a session's process is owed to it, numbered, so that a retry never types twice."""

from __future__ import annotations

import asyncio
import logging
import random

from rc_daemon.links import Links
from rc_daemon.links.calls import opened
from rc_daemon.store.rows import OutboxRow
from rc_daemon.store.store import Store
from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.v1 import session_pb2 as pb

log = logging.getLogger("rc.delivery")

LINK_SECONDS = 60.0
ANSWER_SECONDS = 30.0
PAUSE, LONGEST_PAUSE = 0.05, 5.0
# Bytes that may be owed before the process is made to wait: one that asks and never reads its answers.
OWED_MOST = 1 << 20
# What no later attempt changes: the session is no more, or its stdin is closed.
_FINAL = (ErrorCode.NOT_FOUND, ErrorCode.PRECONDITION)


class Delivery:
    """The outbox of one session; `wake` after each transaction that added to it."""

    def __init__(self, store: Store, links: Links, sandbox_id: str, session_id: str) -> None:
        self._store = store
        self._links = links
        self._sandbox_id = sandbox_id
        self._session_id = session_id
        self._wake = asyncio.Event()
        self._wake.set()
        self._owed = 0
        self._room = asyncio.Event()
        self._room.set()

    def wake(self, added: int = 0) -> None:
        """Something may be owed: so many bytes more."""
        self._owe(self._owed + added)
        self._wake.set()

    async def room(self) -> None:
        """Wait while too much is owed."""
        await self._room.wait()

    async def run(self) -> None:
        """Deliver for as long as the session lives; ends when the process takes no more."""
        pause = PAUSE
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while rows := await self._store.read(lambda tx: tx.outbox_pending(self._session_id)):
                    self._owe(sum(len(row.data) for row in rows))
                    await self._deliver(rows)
                    pause = PAUSE
                self._owe(0)
            except RemoteClaudeError as error:
                if error.code in _FINAL:
                    log.info("session %s takes no more input: %s", self._session_id, error.message)
                    self._owe(0)
                    return
                log.debug("input of session %s: %s", self._session_id, error.message)
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
                pause = min(pause * 2, LONGEST_PAUSE)
                self._wake.set()

    def _owe(self, size: int) -> None:
        self._owed = size
        if size > OWED_MOST:
            self._room.clear()
        else:
            self._room.set()

    async def _deliver(self, rows: list[OutboxRow]) -> None:
        link = self._links.get(self._sandbox_id)
        if link is None:
            raise errors.unavailable(f"there is no link to sandbox {self._sandbox_id}")
        await link.up(LINK_SECONDS)
        failpoint("outbox.deliver.before")
        writer_id, last = rows[-1].writer_id, rows[-1].from_byte + len(rows[-1].data)
        async with opened(link.sessions.WriteSession.open()) as stream:
            for row in rows:
                await stream.send_message(
                    pb.WriteSessionRequest(
                        session_id=self._session_id,
                        writer_id=row.writer_id,
                        from_byte=row.from_byte,
                        data=row.data,
                    )
                )
            await self._until(stream, writer_id, last)

    async def _until(self, stream: object, writer_id: str, last: int) -> None:
        """Wait until the process has it all, then forget it."""
        reached = 0
        while reached < last:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await stream.recv_message()  # type: ignore[attr-defined]
            if answer is None:
                # The call ended early: its status says why.
                await stream.recv_trailing_metadata()  # type: ignore[attr-defined]
                raise ConnectionResetError("the agent ended the call")
            reached = answer.watermark
        failpoint("outbox.deliver.after")
        await self._store.transact(lambda tx: tx.outbox_ack(self._session_id, writer_id, reached))
