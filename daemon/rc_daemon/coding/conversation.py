"""Drives one task's coding agent: durable inputs in, events out, resumed from its processed offset after any crash."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from rc_daemon.coding import inputs, state
from rc_daemon.coding.memory import Memory
from rc_daemon.coding.process import CODING_AGENT, NATIVE, Process, Reader, close_session, open_session
from rc_daemon.coding.record import Record
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
from rc_protos.model import ExitStatus, LinkState, TerminalSize

# A turn may take long; whoever asks for the native TUI waits for its end.
TURN_SECONDS = 3600.0
# A coding agent that has not answered by then, its link being up, will not; loading a long transcript takes a minute.
START_SECONDS, START_TICK = 300.0, 5.0
_STARTING = (state.HELLO, state.OPENING, state.LOADING, state.MODE)


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
    # The coding agent's parts that the sandbox brings itself, by placeholder; empty: the host's are used.
    brought: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Parts:
    """What conversations work with."""

    store: Store
    links: Links
    mirrors: Mirrors
    background: Background
    catalog: Any
    on_change: Callable[[str], None]


class Conversation:
    """One task's coding agent. All methods may be called at any time; each is durable when it returns.

    A caller that is cancelled leaves it as if the call had been made, or not been made.
    """

    def __init__(self, task_id: str, parts: Parts, record: Record, queued: int) -> None:
        self.task_id = task_id
        self._parts = parts
        self._memory = Memory(task_id, parts.store, record, queued, on_change=lambda: parts.on_change(task_id))
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._native: Process | None = None

    def view(self) -> ConversationView:
        """What is known now; never waits."""
        return self._memory.view

    async def start(self, start: Start, *, continue_turn: bool = False) -> None:
        """Make the coding agent run: open its session, or take up the one that runs; on its transcript, if any.

        Idempotent: nothing happens while it runs. Returns when the session is open, not when it is ready.
        Queued prompts are sent as soon as it is ready. `continue_turn`: a turn that was cut is taken up again.
        Raises unavailable (no link), not_found (unknown coding agent), precondition (its native TUI is open).
        """
        async with self._lock:
            if self._memory.record.native_session_id:
                raise errors.precondition("its own TUI is open", "detach from it first")
            if self._running():
                return
            if self._memory.machine.state.stage == state.FAILED:
                await self._end_process("restarted")
            launch = await asyncio.to_thread(
                self._parts.catalog.launch, start.coding_agent, start.mode, start.model, start.brought
            )
            if not self._memory.record.session_id:
                await self._intend(start, launch, continue_turn)
            await self._open(start, launch)
        await self.wake()

    async def wake(self) -> None:
        """Look at the durable inputs again (`inputs.queue_prompt`, `inputs.record_answer`) and act on them."""
        async with self._lock:
            await self._act()

    async def cancel(self) -> bool:
        """End the running turn (its requests are withdrawn); False when none runs. Queued prompts follow."""
        async with self._lock:
            step = state.Step()
            if not self._memory.machine.cancel(step):
                return False
            await self._memory.commit([step])
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
            if not self._memory.record.session_id and not self._memory.record.native_session_id:
                return
            await self._over("lost", ExitStatus(lost=reason), (), reason)

    async def open_native(self, start: Start, size: TerminalSize, term: str) -> str:
        """After the running turn, close the ACP process and open the coding agent's own TUI on the same transcript.

        Returns the PTY session's id; the open one's, if there is one. When that session ends, the next
        prompt (through `start`) resumes over ACP.
        Raises timeout when the turn does not end.
        """
        async with self._between_turns():
            if self._memory.record.native_session_id:
                return self._memory.record.native_session_id
            launch = await asyncio.to_thread(
                self._parts.catalog.launch_native,
                start.coding_agent,
                self._memory.machine.state.session,
                start.mode,
                start.model,
                start.brought,
            )
            await self._end_process("native")
            session_id = ids.new_id()
            record = replace(self._memory.record, sandbox_id=start.sandbox_id, native_session_id=session_id)
            await self._memory.commit([state.Step()], record)
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
                await self._memory.commit([state.Step()], more=self._tells(session_id, NATIVE))
            except RemoteClaudeError:
                await self._memory.commit([state.Step()], replace(self._memory.record, native_session_id=""))
                raise
            finally:
                if self._memory.record.native_session_id:
                    self._attach_native()
            return session_id

    # for Conversations

    def attach(self) -> None:
        """Read on after the daemon was restarted."""
        if self._memory.record.session_id and self._memory.record.opened:
            self._attach()
        if self._memory.record.native_session_id:
            self._attach_native()

    def detach(self) -> None:
        """Stop reading; the process lives on."""
        self._detach()

    # inside the lock

    def _running(self) -> bool:
        return bool(
            self._memory.record.session_id
            and self._memory.record.opened
            and self._memory.machine.state.stage != state.FAILED
        )

    async def _intend(self, start: Start, launch: Any, continue_turn: bool) -> None:
        """Record which session will be opened, and what it is owed, before it is."""
        session_id = ids.new_id()
        record = replace(
            self._memory.record,
            sandbox_id=start.sandbox_id,
            session_id=session_id,
            opened=False,
            coding_agent=start.coding_agent,
            exit=None,
            evidence=(),
        )
        step = state.Step()
        before = self._memory.machine.state
        same = before.heard and self._memory.record.sandbox_id == start.sandbox_id
        # Somebody who has said something else by now wants that.
        again = continue_turn and before.interrupted and not self._memory.queued
        self._memory.machine.begin(step, start.workspace, launch.mode)
        row = SessionRow(session_id, self.task_id, start.sandbox_id, CODING_AGENT, "coding-agent")
        continue_prompt = self._parts.catalog.get(start.coding_agent).continue_prompt

        def more(tx: Tx) -> None:
            tx.put_session_row(row)
            if again:
                text = inputs.continuation(tx, self.task_id, continue_prompt, heard=before.heard, remembers=same)
                inputs.queue_prompt(tx, self.task_id, text, actor="rc", automatic=True)

        failpoint("conversation.intend.before_commit")
        await self._memory.commit([step], record, more)
        failpoint("conversation.intend.after_commit")

    async def _open(self, start: Start, launch: Any) -> None:
        environment = {**launch.environment, **start.environment}
        await open_session(
            self._parts.links,
            self._memory.record.sandbox_id,
            self._memory.record.session_id,
            launch.argv,
            environment=environment,
            directory=start.workspace,
        )
        failpoint("conversation.open.after_call")
        record = replace(self._memory.record, opened=True, starts=self._memory.record.starts + 1)
        await self._memory.commit([state.Step()], record, self._tells(record.session_id, CODING_AGENT))
        failpoint("conversation.open.after_commit")
        self._attach()

    def _tells(self, session_id: str, kind: str) -> Callable[[Tx], None]:
        payload = {"id": session_id, "kind": kind, "name": kind}
        return lambda tx: _ignored(tx.append("session.opened", self.task_id, payload))

    async def _act(self) -> None:
        """Answers to what is pending, then the next prompt if it is ready for one."""
        pending = tuple(self._memory.machine.state.pending)
        answers, waiting = await self._parts.store.read(lambda tx: _inputs(tx, self.task_id, pending))
        step, taken = state.Step(), 0
        for request_id, answer in answers.items():
            self._memory.machine.answer(step, request_id, approve=answer["approve"], option_id=answer["option_id"])
        if waiting and self._running() and self._memory.machine.state.stage == state.READY:
            taken, text = waiting[0]
            self._memory.machine.prompt(step, text, taken)
        if not answers and not taken:
            self._memory.look(len(waiting))
            return

        def more(tx: Tx) -> None:
            for request_id in answers:
                tx.delete_doc(inputs.ANSWERS, request_id)
            if taken:
                inputs.take_prompt(tx, self.task_id, taken)

        await self._memory.commit([step], more=more, queued=len(waiting) - bool(taken))

    # the process

    def _attach(self) -> None:
        record = self._memory.record
        parts = self._parts
        self._process = Process(parts.store, parts.links, parts.mirrors, record.sandbox_id, record.session_id)
        reader = Reader(
            lambda: self._memory.machine.received,
            lambda: self._memory.record.offset,
            self._output,
            self._process_ended,
            self._broken,
        )
        self._process.attach(parts.background, self.task_id, reader)
        self._memory.on_owed = self._process.delivery.wake
        if self._memory.machine.state.stage in _STARTING:
            parts.background.spawn(self._await_ready(self._process), f"start of {record.session_id}")

    def _attach_native(self) -> None:
        record, parts = self._memory.record, self._parts
        native = Process(parts.store, parts.links, parts.mirrors, record.sandbox_id, record.native_session_id)
        native.await_end(parts.background, self.task_id, self._native_ended)
        self._native = native

    def _detach(self) -> None:
        for process in (self._process, self._native):
            if process is not None:
                process.detach()
        self._process = self._native = None

    async def _output(self, offset: int, data: bytes) -> bool:
        """Bytes of its stdout: everything they lead to is one transaction. False: others are wanted."""
        async with self._lock:
            # A commit that failed, whoever's it was, takes the machine back to what is durable.
            if offset > self._memory.machine.received:
                return False
            steps = self._memory.feed(data[self._memory.machine.received - offset :])
            if steps:
                await self._memory.commit(steps)
                if self._memory.machine.state.stage == state.READY or self._memory.machine.state.pending:
                    await self._act()
            return True

    async def _broken(self, why: str) -> None:
        """Its output cannot be read on."""
        await self._give_up(f"its output cannot be read: {why}", lambda: True)

    async def _await_ready(self, process: Process) -> None:
        """A coding agent that never answers must not look as if it worked; time without a link does not count."""
        waited = 0.0
        while waited < START_SECONDS:
            await asyncio.sleep(START_TICK)
            if self._process is not process or self._memory.machine.state.stage not in _STARTING:
                return
            link = self._parts.links.get(process.sandbox_id)
            if link is not None and link.state is LinkState.UP:
                waited += START_TICK
        calls = ", ".join(self._memory.machine.state.calls.values())
        await self._give_up(
            f"it did not answer {calls} within {START_SECONDS:.0f} s",
            lambda: self._process is process and self._memory.machine.state.stage in _STARTING,
        )

    async def _give_up(self, why: str, still: Callable[[], bool]) -> None:
        async with self._lock:
            if still():
                step = state.Step()
                self._memory.machine.fail(step, why)
                await self._memory.commit([step])

    async def _process_ended(self, status: ExitStatus, evidence: tuple[str, ...]) -> None:
        async with self._lock:
            if self._process is None:
                return
            how = status.lost or (f"signal {status.signal}" if status.signal else f"exit code {status.code}")
            await self._over("lost", status, evidence, f"the coding agent's process ended ({how})")
            self._detach()

    async def _native_ended(self, _status: ExitStatus, _evidence: tuple[str, ...]) -> None:
        async with self._lock:
            await self._memory.commit([state.Step()], replace(self._memory.record, native_session_id=""))
            self._native = None

    async def _end_process(self, reason: str) -> None:
        if not self._memory.record.session_id:
            return
        process, self._process = self._process, None
        if process is not None:
            process.detach()
        try:
            await close_session(self._parts.links, self._memory.record.sandbox_id, self._memory.record.session_id)
        except BaseException:
            if process is not None:
                self._attach()
            raise
        failpoint("conversation.close.after_call")
        await self._over(reason, None, (), reason)

    async def _end_native(self) -> None:
        if self._memory.record.native_session_id:
            await close_session(
                self._parts.links, self._memory.record.sandbox_id, self._memory.record.native_session_id
            )
            if self._native is not None:
                self._native.detach()
                self._native = None
            await self._memory.commit([state.Step()], replace(self._memory.record, native_session_id=""))

    async def _over(self, stop_reason: str, status: ExitStatus | None, evidence: tuple[str, ...], why: str) -> None:
        step = state.Step()
        self._memory.machine.ended(step, stop_reason, why)
        record = replace(
            self._memory.record, session_id="", opened=False, native_session_id="", exit=status, evidence=evidence
        )
        await self._memory.commit([step], record)

    @asynccontextmanager
    async def _between_turns(self) -> AsyncIterator[None]:
        """The lock, held when no turn runs."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._lock.acquire()
                while self._memory.view.busy:
                    changed = self._memory.changed
                    self._lock.release()
                    await changed.wait()
                    await self._lock.acquire()
        except TimeoutError:
            hint = f"end it with: rc cancel {self.task_id}"
            raise errors.timeout(f"its turn did not end within {TURN_SECONDS:.0f} s", hint) from None
        try:
            yield
        finally:
            self._lock.release()


def _ignored(_result: object) -> None:
    """For lambdas that must give nothing."""


def _inputs(tx: Tx, task_id: str, pending: tuple[str, ...]) -> tuple[dict[str, dict[str, Any]], list[tuple[int, str]]]:
    answers = {request_id: tx.get_doc(inputs.ANSWERS, request_id) for request_id in pending}
    return {key: answer for key, answer in answers.items() if answer is not None}, inputs.waiting_prompts(tx, task_id)
