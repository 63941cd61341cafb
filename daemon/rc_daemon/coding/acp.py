"""A sans-I/O client of the Agent Client Protocol (version 1): bytes and commands in, events and bytes out.

Its whole state is a JSON object, stored in the transaction that stores what it produced; a machine restored from it
goes on from `state.offset` as if nothing had happened. The other side is not trusted: whatever it sends, in whatever
order, leads to events of bounded size and leaves a state in which the next message can be taken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from rc_daemon.coding import messages
from rc_daemon.coding.clip import clip_text, count, short
from rc_daemon.coding.lines import LINE_LIMIT, LineCutter
from rc_daemon.coding.state import (
    CLOSED,
    FAILED,
    HELLO,
    LOADING,
    MODE,
    OPENING,
    READY,
    TURN,
    Asked,
    Pending,
    State,
    Step,
    Withdrawn,
)

PROTOCOL = 1
# JSON-RPC's own numbers.
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
# Permission requests that may wait for the human at once, and characters of the coding agent's ids.
PENDING_MOST = 32
ID_MOST = 1024
LOG_MOST = 4096


class Machine:
    """The protocol of one coding agent. Every method appends to the `Step` it is given."""

    def __init__(self, state: State, new_id: Callable[[], str], *, line_limit: int = LINE_LIMIT) -> None:
        self.state = state
        self._new_id = new_id
        self._line_limit = line_limit
        self._cutter = LineCutter(state.offset, line_limit)

    # --- commands ---

    def begin(self, step: Step, workspace: str, mode: str) -> None:
        """A new process was started: say hello. `mode` is the coding agent's own id of it, or empty."""
        state = self.state
        state.stage, state.offset, state.calls = HELLO, 0, {}
        state.loaded, state.cancelled, state.error, state.error_code = False, False, "", 0
        state.workspace, state.wanted_mode = workspace, mode
        self._cutter = LineCutter(0, self._line_limit)
        self._call(
            step,
            "initialize",
            {
                "protocolVersion": PROTOCOL,
                "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
                "clientInfo": {"name": "remote-claude", "version": "1"},
            },
        )

    def prompt(self, step: Step, text: str, number: int) -> None:
        """Begin a turn; only in stage READY."""
        state = self.state
        state.turn += 1
        state.stage, state.cancelled, state.stop_reason, state.interrupted = TURN, False, "", False
        state.heard = False
        state.error, state.error_code = "", 0
        step.events.append(("turn.started", {"turn": state.turn, "prompt": number}))
        self._call(step, "session/prompt", {"sessionId": state.session, "prompt": [{"type": "text", "text": text}]})

    def cancel(self, step: Step) -> bool:
        """Ask for the end of the turn; False when none runs or it was asked before."""
        if self.state.stage != TURN or self.state.cancelled:
            return False
        self.state.cancelled = True
        self._notify(step, "session/cancel", {"sessionId": self.state.session})
        for request_id, pending in self.state.pending.items():
            self._reply(step, pending.rpc, {"outcome": {"outcome": "cancelled"}})
            step.events.append(Withdrawn(request_id, "the turn was cancelled"))
        self.state.pending.clear()
        return True

    def answer(self, step: Step, request_id: str, *, approve: bool, option_id: str = "") -> bool:
        """Answer a pending permission request, by option or by kind; False when it is not pending."""
        pending = self.state.pending.pop(request_id, None)
        if pending is None:
            return False
        chosen = option_id or _by_kind(pending.options, approve=approve)
        outcome = {"outcome": "selected", "optionId": chosen} if chosen else {"outcome": "cancelled"}
        self._reply(step, pending.rpc, {"outcome": outcome})
        return True

    def ended(self, step: Step, stop_reason: str, explanation: str) -> None:
        """The process is no more: a running turn ends with `stop_reason`, open requests are withdrawn."""
        state = self.state
        self._withdraw(step, explanation)
        if state.stage == TURN:
            state.interrupted = True
            self._end_turn(step, stop_reason, explanation if stop_reason == "lost" else "")
        state.stage, state.calls, state.cancelled = CLOSED, {}, False

    def fail(self, step: Step, text: str) -> None:
        """It cannot be talked to any more: a running turn ends, and nothing that it still says counts."""
        if self.state.stage == TURN:
            self._withdraw(step, text)
            self.state.interrupted = True
            self._end_turn(step, "lost", text)
        self._fail(step, text)

    def feed(self, data: bytes) -> Iterator[Step]:
        """Process output from `received` on: one step per finished line, with `state.offset` after it."""
        for line in self._cutter.feed(data):
            step = Step()
            self._line(step, line)
            self.state.offset = self._cutter.offset
            yield step

    @property
    def received(self) -> int:
        """Where the next fed byte stands in the session's output."""
        return self._cutter.received

    # --- lines in ---

    def _line(self, step: Step, line: bytes | None) -> None:
        if line is None:
            step.events.append(("coding.log", {"text": "a line of more than 64 MiB was left out", "stream": "out"}))
            return
        if not line.strip() or self.state.stage == FAILED:
            return
        message = messages.parse(line)
        if message is None:
            _log(step, line[: 4 * LOG_MOST].decode("utf-8", "replace"))
        elif "method" in message and "id" in message:
            self._request(step, message["id"], str(message["method"]), message.get("params"))
        elif "method" in message:
            self._notification(step, str(message["method"]), message.get("params"))
        else:
            self._response(step, message)

    def _notification(self, step: Step, method: str, params: Any) -> None:
        if method != "session/update":
            _log(step, f"unknown notification {short(method)}")
            return
        if self.state.stage == LOADING:
            return  # the history, replayed: it was stored when it happened
        from rc_daemon.coding import inbound

        self.state.heard = True
        try:
            kind, payload = inbound.update(params)
        except inbound.Invalid:
            kind, payload = inbound.raw_update(params)
        if kind == "mode":
            self.state.mode = payload["native"]
        if kind == "usage":
            payload = self._add_usage(payload)
        step.events.append((kind, payload))

    def _request(self, step: Step, rpc: Any, method: str, params: Any) -> None:
        if not isinstance(rpc, int | str) or len(str(rpc)) > ID_MOST:
            _log(step, f"a call of {short(method)} whose id cannot be answered")
        elif method != "session/request_permission":
            self._refuse(step, rpc, METHOD_NOT_FOUND, f"this client has no method {short(method)}")
            _log(step, f"the coding agent called {short(method)}, which rc does not offer")
        elif self.state.cancelled:
            self._reply(step, rpc, {"outcome": {"outcome": "cancelled"}})
        elif len(self.state.pending) >= PENDING_MOST:
            self._refuse(step, rpc, INTERNAL_ERROR, f"{PENDING_MOST} permission requests wait for the human already")
            _log(step, f"more than {PENDING_MOST} permission requests at once: one was refused")
        else:
            self._ask(step, rpc, params)

    def _ask(self, step: Step, rpc: int | str, params: Any) -> None:
        from rc_daemon.coding import inbound

        try:
            asked = inbound.permission(params)
        except inbound.Invalid as error:
            self._refuse(step, rpc, INVALID_PARAMS, "the permission request does not fit the protocol")
            _log(step, f"a permission request that does not fit the protocol: {error.errors()[0]['msg']}")
            return
        request_id = self._new_id()
        self.state.pending[request_id] = Pending(rpc, [asdict(option) for option in asked.options])
        step.events.append(Asked(request_id, asked.title, asked.detail, asked.options))

    def _response(self, step: Step, message: dict[str, Any]) -> None:
        rpc = message.get("id")
        method = self.state.calls.pop(str(rpc), "") if isinstance(rpc, int | str) else ""
        failure = message.get("error")
        if not method:
            _log(step, f"an answer to no question: {json.dumps(message)}")
        elif failure is not None:
            self._failed(step, method, failure if isinstance(failure, dict) else {"message": str(failure)})
        else:
            self._answered(step, method, message.get("result"))

    # --- answers to our calls ---

    def _answered(self, step: Step, method: str, result: Any) -> None:
        from rc_daemon.coding import inbound

        try:
            match method:
                case "initialize":
                    self._greeted(step, inbound.hello(result))
                case "session/new":
                    self._opened(step, inbound.opened(result))
                case "session/load":
                    self._opened(step, inbound.loaded(result))
                case "session/set_mode":
                    self._mode_set(step)
                case "session/prompt":
                    self._turn_ended(step, inbound.turn_end(result))
        except inbound.Invalid as error:
            problem = error.errors()[0]
            where = ".".join(str(part) for part in problem["loc"])
            self._failed(step, method, {"message": f"the answer does not fit the protocol: {where}: {problem['msg']}"})

    def _greeted(self, step: Step, hello: Any) -> None:
        if hello.protocol != PROTOCOL:
            self._fail(step, f"it speaks version {hello.protocol} of the Agent Client Protocol, rc speaks {PROTOCOL}")
            return
        step.events.append(("coding.hello", {"name": hello.name, "version": hello.version}))
        place = {"cwd": self.state.workspace, "mcpServers": []}
        if self.state.session and hello.can_load:
            self.state.stage = LOADING
            self._call(step, "session/load", {"sessionId": self.state.session, **place})
        else:
            self._open(step)

    def _open(self, step: Step) -> None:
        self.state.stage = OPENING
        self._call(step, "session/new", {"cwd": self.state.workspace, "mcpServers": []})

    def _opened(self, step: Step, opened: Any) -> None:
        state = self.state
        state.loaded = not opened.session_id
        state.session = opened.session_id or state.session
        if not 0 < len(state.session) <= ID_MOST:
            state.session = ""
            self._fail(step, f"the id of its session has {len(opened.session_id)} characters")
            return
        state.mode = opened.mode
        if state.wanted_mode:
            # Said even if it is the current one: a default may hide behind the name.
            state.stage = MODE
            self._call(step, "session/set_mode", {"sessionId": state.session, "modeId": state.wanted_mode})
        else:
            self._ready(step)

    def _mode_set(self, step: Step) -> None:
        self.state.mode = self.state.wanted_mode
        step.events.append(("mode", {"native": self.state.mode}))
        self._ready(step)

    def _ready(self, step: Step) -> None:
        self.state.stage = READY
        step.events.append(("coding.ready", {"session": self.state.session, "loaded": self.state.loaded}))

    def _turn_ended(self, step: Step, end: Any) -> None:
        usage = self.state.usage
        for key in ("input_tokens", "output_tokens", "cached_tokens"):
            usage[key] = count(usage.get(key, 0) + getattr(end, key))
        step.events.append(("usage", dict(usage)))
        self._withdraw(step, "the turn ended")
        self._end_turn(step, end.stop_reason, "")
        self.state.stage = READY

    def _failed(self, step: Step, method: str, failure: dict[str, Any]) -> None:
        text, code = _explain(failure), failure.get("code", 0)
        self.state.error_code = code if isinstance(code, int) else 0
        if method == "session/prompt":
            self._withdraw(step, "the turn failed")
            self.state.error = text
            self._end_turn(step, "cancelled" if self.state.cancelled else "error", text)
            self.state.stage = READY
        elif method == "session/load":
            step.events.append(("notice", {"text": f"its transcript could not be loaded, a new one is begun: {text}"}))
            self._open(step)
        else:
            self._fail(step, f"{method} failed: {text}")

    def _fail(self, step: Step, text: str) -> None:
        self.state.stage, self.state.error, self.state.calls = FAILED, text, {}
        step.events.append(("coding.failed", {"message": text, "code": self.state.error_code}))

    # --- helpers ---

    def _end_turn(self, step: Step, stop_reason: str, error: str) -> None:
        self.state.stop_reason = stop_reason
        self.state.cancelled = False
        payload: dict[str, Any] = {"turn": self.state.turn, "stop_reason": stop_reason}
        if error:
            payload["error"] = error
        step.events.append(("turn.ended", payload))

    def _withdraw(self, step: Step, reason: str) -> None:
        step.events.extend(Withdrawn(request_id, reason) for request_id in self.state.pending)
        self.state.pending.clear()

    def _add_usage(self, change: dict[str, Any]) -> dict[str, Any]:
        self.state.usage |= change
        return dict(self.state.usage)

    def _call(self, step: Step, method: str, params: dict[str, Any]) -> None:
        number = self.state.next_id
        self.state.next_id += 1
        self.state.calls[str(number)] = method
        step.out += messages.write({"id": number, "method": method, "params": params})

    def _notify(self, step: Step, method: str, params: dict[str, Any]) -> None:
        step.out += messages.write({"method": method, "params": params})

    def _reply(self, step: Step, rpc: int | str, result: dict[str, Any]) -> None:
        step.out += messages.write({"id": rpc, "result": result})

    def _refuse(self, step: Step, rpc: int | str, code: int, message: str) -> None:
        step.out += messages.write({"id": rpc, "error": {"code": code, "message": message}})


def _log(step: Step, text: str) -> None:
    step.events.append(("coding.log", {"text": clip_text(text, LOG_MOST), "stream": "out"}))


def _explain(failure: dict[str, Any]) -> str:
    message = str(failure.get("message") or "it failed without a reason")
    data = failure.get("data")
    detail = data.get("details") or data.get("message") if isinstance(data, dict) else data
    return clip_text(f"{message}: {detail}" if isinstance(detail, str) and detail else message, 2000)


def _by_kind(options: list[dict[str, str]], *, approve: bool) -> str:
    wanted = ("allow_once", "allow_always") if approve else ("reject_once", "reject_always")
    for kind in wanted:
        for option in options:
            if option["kind"] == kind:
                return option["id"]
    return ""
