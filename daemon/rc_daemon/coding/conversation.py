"""Drives one task's coding agent: durable inputs in, events out, resumed from its processed offset after any crash."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rc_daemon.coding import acp, inputs
from rc_daemon.coding.commit import store
from rc_daemon.coding.process import CODING_AGENT, NATIVE, Process, close_session, open_session
from rc_daemon.coding.record import COLLECTION, Record
from rc_daemon.coding.view import ConversationView
from rc_daemon.links import Links
from rc_daemon.sessions.mirror import Mirrors
from rc_daemon.store.rows import SessionRow
from rc_daemon.store.store import Store
from rc_daemon.store.tx import Tx
from rc_protos import errors, ids
from rc_protos.background import Background
from rc_protos.errors import RemoteClaudeError
from rc_protos.failpoints import failpoint
from rc_protos.model import ExitStatus, TerminalSize

# The daemon's own numbering of a session's input survives its restarts under this name.
WRITER = "daemon"
# A turn may take long; whoever asks for the native TUI waits for its end.
TURN_SECONDS = 3600.0


@dataclass(frozen=True)
class Start:
    """What a coding agent's process is started with."""

    sandbox_id: str
    # Where the workspace and HOME are inside the sandbox.
    workspace: str
    home: str
    coding_agent: str
    # ask | edits | auto | plan; empty: the coding agent's default in its TOML.
    mode: str = ""
    model: str = ""
    # Credentials and the like, for OpenSession's environment only; never stored.
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Parts:
    store: Store
    links: Links
    mirrors: Mirrors
    background: Background
    catalog: Any
    on_change: Callable[[str], None]


class Conversation:
    """One task's coding agent. All methods may be called at any time; each is durable when it returns."""

    def __init__(self, task_id: str, parts: _Parts, record: Record, queued: int) -> None:
        self.task_id = task_id
        self._parts = parts
        self._record = record
        self._queued = queued
        self._lock = asyncio.Lock()
        self._machine = _machine(record)
        self._process: Process | None = None
        self._native: Process | None = None
        self._view = record.view(task_id, queued)
        self._changed = asyncio.Event()

    def view(self) -> ConversationView:
        """What is known now; never waits."""
        return self._view

    async def start(self, start: Start, *, continue_turn: bool = False) -> None:
        """Make the coding agent run: open its session, or take up the one that runs; on its transcript, if any.

        Idempotent: nothing happens while it runs. Returns when the session is open, not when it is ready.
        Queued prompts are sent as soon as it is ready. `continue_turn`: a turn that was cut is taken up again.
        Raises unavailable (no link), not_found (unknown coding agent), precondition (its native TUI is open).
        """
        async with self._lock:
            if self._record.native_session_id:
                raise errors.precondition("its own TUI is open", "detach from it first")
            if self._running():
                return
            if self._machine.state.stage == acp.FAILED:
                await self._end_process("restarted")
            launch = await asyncio.to_thread(self._parts.catalog.launch, start.coding_agent, start.mode, start.model)
            if not self._record.session_id:
                await self._intend(start, launch, continue_turn)
            await self._open(start, launch)
        await self.wake()

    async def wake(self) -> None:
        """Look at the durable inputs again (`inputs.queue_prompt`, `inputs.record_answer`) and act on them."""
        async with self._lock:
            await self._act()

    async def prompt(self, text: str, *, actor: str = "local") -> int:
        """Accept a prompt, in a transaction of its own; sent now, or after the running turn."""
        number = await self._parts.store.transact(lambda tx: inputs.queue_prompt(tx, self.task_id, text, actor=actor))
        await self.wake()
        return number

    async def answer(self, request_id: str, *, approve: bool, option_id: str = "", because: str = "") -> None:
        """Answer a request, in a transaction of its own."""
        await self._parts.store.transact(
            lambda tx: inputs.record_answer(tx, request_id, approve=approve, option_id=option_id, because=because)
        )
        await self.wake()

    async def cancel(self) -> bool:
        """End the running turn (its requests are withdrawn); False when none runs. Queued prompts follow."""
        async with self._lock:
            step = acp.Step()
            if not self._machine.cancel(step):
                return False
            await self._commit([step])
            return True

    async def close(self, reason: str = "stopped") -> None:
        """End the process; the transcript stays, phase becomes ABSENT, a running turn ends with `reason`."""
        async with self._lock:
            await self._end_process(reason)
            await self._end_native()

    async def lost(self, reason: str) -> None:
        """The sandbox is gone: the process is known to be dead; phase becomes ENDED."""
        async with self._lock:
            self._detach()
            if not self._record.session_id and not self._record.native_session_id:
                return
            await self._over("lost", ExitStatus(lost=reason), (), reason)

    async def open_native(self, start: Start, size: TerminalSize, term: str) -> str:
        """After the running turn, close the ACP process and open the coding agent's own TUI on the same transcript.

        Returns the PTY session's id; the open one's, if there is one. When that session ends, or `close_native` is
        called, the next prompt (through `start`) resumes over ACP.
        """
        await self._settled()
        async with self._lock:
            if self._record.native_session_id:
                return self._record.native_session_id
            launch = await asyncio.to_thread(
                self._parts.catalog.launch_native,
                start.coding_agent,
                self._machine.state.session,
                start.mode,
                start.model,
            )
            await self._end_process("native")
            session_id = ids.new_id()
            record = replace(self._record, sandbox_id=start.sandbox_id, native_session_id=session_id)
            await self._commit([acp.Step()], record)
            environment = {**launch.environment, **start.environment, "TERM": term or "xterm-256color"}
            try:
                await open_session(
                    self._parts.links,
                    start.sandbox_id,
                    session_id,
                    launch.argv,
                    environment=environment,
                    directory=start.workspace,
                    size=size,
                )
            except RemoteClaudeError:
                await self._commit([acp.Step()], replace(self._record, native_session_id=""))
                raise
            await self._commit([acp.Step()], more=self._tells(session_id, NATIVE))
            self._attach_native()
            return session_id

    async def close_native(self) -> None:
        """End the native TUI, when its client detaches."""
        async with self._lock:
            await self._end_native()

    # for Conversations

    def attach(self) -> None:
        """Read on after the daemon was restarted."""
        if self._record.session_id and self._record.opened:
            self._attach()
        if self._record.native_session_id:
            self._attach_native()

    def detach(self) -> None:
        """Stop reading; the process lives on."""
        self._detach()

    # inside the lock

    def _running(self) -> bool:
        return bool(self._record.session_id and self._record.opened and self._machine.state.stage != acp.FAILED)

    async def _intend(self, start: Start, launch: Any, continue_turn: bool) -> None:
        """Record which session will be opened, and what it is owed, before it is."""
        session_id = ids.new_id()
        record = replace(
            self._record,
            sandbox_id=start.sandbox_id,
            session_id=session_id,
            opened=False,
            coding_agent=start.coding_agent,
            exit=None,
            evidence=(),
        )
        step = acp.Step()
        interrupted = self._machine.state.interrupted
        self._machine.begin(step, start.workspace, launch.mode)
        row = SessionRow(session_id, self.task_id, start.sandbox_id, CODING_AGENT, "coding-agent")
        # Somebody who has said something else by now wants that.
        again = continue_turn and interrupted and not self._queued
        text = self._parts.catalog.get(start.coding_agent).continue_prompt if again else ""

        def more(tx: Tx) -> None:
            tx.put_session_row(row)
            if text:
                inputs.queue_prompt(tx, self.task_id, text, actor="rc", automatic=True)

        failpoint("conversation.intend.before_commit")
        await self._commit([step], record, more)
        failpoint("conversation.intend.after_commit")

    async def _open(self, start: Start, launch: Any) -> None:
        environment = {**launch.environment, **start.environment}
        await open_session(
            self._parts.links,
            self._record.sandbox_id,
            self._record.session_id,
            launch.argv,
            environment=environment,
            directory=start.workspace,
        )
        failpoint("conversation.open.after_call")
        record = replace(self._record, opened=True, starts=self._record.starts + 1)
        await self._commit([acp.Step()], record, self._tells(record.session_id, CODING_AGENT))
        failpoint("conversation.open.after_commit")
        self._attach()

    def _tells(self, session_id: str, kind: str) -> Callable[[Tx], None]:
        payload = {"id": session_id, "kind": kind, "name": kind}
        return lambda tx: _ignored(tx.append("session.opened", self.task_id, payload))

    async def _act(self) -> None:
        """Answers to what is pending, then the next prompt if it is ready for one."""
        pending = tuple(self._machine.state.pending)
        answers, waiting = await self._parts.store.read(lambda tx: _inputs(tx, self.task_id, pending))
        step, taken = acp.Step(), 0
        for request_id, answer in answers.items():
            self._machine.answer(step, request_id, approve=answer["approve"], option_id=answer["option_id"])
        if waiting and self._running() and self._machine.state.stage == acp.READY:
            taken, text = waiting[0]
            self._machine.prompt(step, text, taken)
        if not answers and not taken:
            self._look(len(waiting))
            return

        def more(tx: Tx) -> None:
            for request_id in answers:
                tx.delete_doc("answers", request_id)
            if taken:
                inputs.take_prompt(tx, self.task_id, taken)

        await self._commit([step], more=more, queued=len(waiting) - bool(taken))

    async def _commit(
        self,
        steps: list[acp.Step],
        record: Record | None = None,
        more: Callable[[Tx], None] = lambda tx: None,
        queued: int | None = None,
    ) -> None:
        """Make it durable, or go back to what is."""
        new = (record or self._record).with_state(self._machine.state)

        def work(tx: Tx) -> int:
            store(tx, self.task_id, WRITER, new, steps)
            more(tx)
            return len(inputs.waiting_prompts(tx, self.task_id)) if queued is None else queued

        failpoint("conversation.commit.before")
        try:
            waiting = await self._parts.store.transact(work)
        except BaseException:
            self._machine = _machine(self._record)
            raise
        failpoint("conversation.commit.after")
        self._record = new
        self._look(waiting)
        if self._process is not None:
            self._process.delivery.wake()

    def _look(self, queued: int) -> None:
        self._queued = queued
        view = self._record.view(self.task_id, queued)
        if view != self._view:
            self._view = view
            self._changed.set()
            self._changed = asyncio.Event()
            self._parts.on_change(self.task_id)

    # the process

    def _attach(self) -> None:
        record = self._record
        parts = self._parts
        self._process = Process(parts.store, parts.links, parts.mirrors, record.sandbox_id, record.session_id)
        self._process.attach(
            parts.background, self.task_id, lambda: self._machine.received, self._output, self._process_ended
        )

    def _attach_native(self) -> None:
        record, parts = self._record, self._parts
        native = Process(parts.store, parts.links, parts.mirrors, record.sandbox_id, record.native_session_id)
        native.attach(parts.background, self.task_id, lambda: 0, _ignore, self._native_ended)
        self._native = native

    def _detach(self) -> None:
        for process in (self._process, self._native):
            if process is not None:
                process.detach()
        self._process = self._native = None

    async def _output(self, offset: int, data: bytes) -> None:
        """Bytes of its stdout: everything they lead to is one transaction."""
        async with self._lock:
            # After a commit that failed, or a start that came between, the machine may want other bytes than these.
            data = data[max(0, self._machine.received - offset) :]
            steps = list(self._machine.feed(data))
            if not steps:
                return
            await self._commit(steps)
            if self._machine.state.stage == acp.READY or self._machine.state.pending:
                await self._act()

    async def _process_ended(self, status: ExitStatus, evidence: tuple[str, ...]) -> None:
        async with self._lock:
            if self._process is None:
                return
            self._detach()
            how = status.lost or (f"signal {status.signal}" if status.signal else f"exit code {status.code}")
            await self._over("lost", status, evidence, f"the coding agent's process ended ({how})")

    async def _native_ended(self, _status: ExitStatus, _evidence: tuple[str, ...]) -> None:
        async with self._lock:
            self._native = None
            await self._commit([acp.Step()], replace(self._record, native_session_id=""))

    async def _end_process(self, reason: str) -> None:
        if not self._record.session_id:
            return
        process, self._process = self._process, None
        if process is not None:
            process.detach()
        try:
            await close_session(self._parts.links, self._record.sandbox_id, self._record.session_id)
        except RemoteClaudeError:
            if process is not None:
                self._attach()
            raise
        await self._over(reason, None, (), reason)

    async def _end_native(self) -> None:
        if self._record.native_session_id:
            await close_session(self._parts.links, self._record.sandbox_id, self._record.native_session_id)
            if self._native is not None:
                self._native.detach()
                self._native = None
            await self._commit([acp.Step()], replace(self._record, native_session_id=""))

    async def _over(self, stop_reason: str, status: ExitStatus | None, evidence: tuple[str, ...], why: str) -> None:
        step = acp.Step()
        self._machine.ended(step, stop_reason, why)
        record = replace(
            self._record, session_id="", opened=False, native_session_id="", exit=status, evidence=evidence
        )
        await self._commit([step], record)

    async def _settled(self) -> None:
        """Wait for the end of a running turn."""
        async with asyncio.timeout(TURN_SECONDS):
            while self._view.busy:
                await self._changed.wait()


class Conversations:
    """Every conversation of this daemon, by task id.

    `on_change(task_id)` is called (in the loop) after each commit that changed a view.
    """

    def __init__(
        self,
        store: Store,
        links: Links,
        mirrors: Mirrors,
        background: Background,
        *,
        catalog: Any,
        on_change: Callable[[str], None],
    ) -> None:
        self._parts = _Parts(store, links, mirrors, background, catalog, on_change)
        self._known: dict[str, Conversation] = {}
        self._loading: dict[str, asyncio.Lock] = {}

    async def get(self, task_id: str) -> Conversation:
        """The conversation of a task, loaded from the store and reading on from its processed offset if it runs."""
        async with self._loading.setdefault(task_id, asyncio.Lock()):
            if task_id not in self._known:
                document, waiting = await self._parts.store.read(
                    lambda tx: (tx.get_doc(COLLECTION, task_id), inputs.waiting_prompts(tx, task_id))
                )
                found = Conversation(task_id, self._parts, Record.load(document or {}), len(waiting))
                self._known[task_id] = found
                found.attach()
        return self._known[task_id]

    async def forget(self, task_id: str) -> None:
        """Let go of a removed task's conversation."""
        found = self._known.pop(task_id, None)
        self._loading.pop(task_id, None)
        if found is not None:
            found.detach()

    async def warm(self) -> None:
        """Load what a first conversation needs, half a second of imports, off the loop; for when a task is created."""
        await asyncio.to_thread(importlib.import_module, "rc_daemon.coding.inbound")

    async def close(self) -> None:
        """Stop reading; coding agents live on."""
        for found in self._known.values():
            found.detach()


def _ignored(_result: object) -> None:
    """For lambdas that must give nothing."""


async def _ignore(_offset: int, _data: bytes) -> None:
    """A native TUI's output is for terminals."""


def _machine(record: Record) -> acp.Machine:
    return acp.Machine(acp.State.load(record.state), ids.new_id)


def _inputs(tx: Tx, task_id: str, pending: tuple[str, ...]) -> tuple[dict[str, dict[str, Any]], list[tuple[int, str]]]:
    answers = {request_id: tx.get_doc("answers", request_id) for request_id in pending}
    return {key: answer for key, answer in answers.items() if answer is not None}, inputs.waiting_prompts(tx, task_id)
