"""The ACP face: JSON-RPC lines on stdin and stdout. The main thread reads, each turn runs on a thread of its own."""

from __future__ import annotations

import json
import queue
import sys
import threading
from pathlib import Path
from typing import IO, Any

from rc_demo.script import ScriptError, steps_for
from rc_demo.transcript import Transcript
from rc_demo.turn import Cancelled, Failed, Turn

MODES = {"ask": "Ask before edits and commands", "edits": "Edit files", "auto": "Do everything", "plan": "Only plan"}
CONTINUE = "Continue where you were interrupted."
REQUEST = "The request was:\n\n"
Message = dict[str, Any]


class Refused(Exception):
    """A call that gets a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Agent:
    """One connection with one client."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._lock = threading.Lock()
        self._transcript: Transcript | None = None
        self._directory = Path.cwd()
        self._answers: dict[int, queue.Queue[Message]] = {}
        self._asked = 0
        self._cancel = threading.Event()
        self._turn: threading.Thread | None = None
        self.mode = "ask"

    def run(self) -> int:
        """Serve until stdin ends."""
        for line in self._reader:
            try:
                message = json.loads(line)
            except ValueError:
                sys.stderr.write("rc-demo: a line that is not JSON was left out\n")
                continue
            self._dispatch(message)
        self._cancel.set()
        return 0

    def _dispatch(self, message: Message) -> None:
        if "method" not in message:
            waiting = self._answers.pop(int(message["id"]), None)
            if waiting is not None:
                waiting.put(message)
            return
        handler = getattr(self, "_on_" + message["method"].replace("/", "_"), None)
        call = message.get("id")
        if handler is None:
            if call is not None:
                self._send({"id": call, "error": {"code": -32601, "message": f"no method {message['method']}"}})
            return
        try:
            result = handler(message.get("params") or {}, call)
        except Refused as refused:
            self._send({"id": call, "error": {"code": refused.code, "message": str(refused)}})
            return
        if result is not None and call is not None:
            self._send({"id": call, "result": result})

    # --- methods; None: answered later ---

    def _on_initialize(self, params: Message, call: Any) -> Message:
        return {
            "protocolVersion": 1,
            "agentCapabilities": {"loadSession": True, "promptCapabilities": {}},
            "agentInfo": {"name": "rc-demo", "version": "1"},
            "authMethods": [],
        }

    def _on_session_new(self, params: Message, call: Any) -> Message:
        self._directory = Path(params["cwd"])
        self._transcript = Transcript.new()
        return {"sessionId": self._transcript.session, "modes": self._modes()}

    def _on_session_load(self, params: Message, call: Any) -> Message:
        self._directory = Path(params["cwd"])
        try:
            self._transcript = Transcript.open(params["sessionId"])
        except FileNotFoundError:
            raise Refused(-32002, f"there is no session {params['sessionId']}") from None
        for record in self._transcript.records:
            self._replay(record)
        return {"modes": self._modes()}

    def _on_session_set_mode(self, params: Message, call: Any) -> Message:
        if params["modeId"] not in MODES:
            raise Refused(-32602, f"there is no mode {params['modeId']}")
        self.mode = params["modeId"]
        return {}

    def _on_session_prompt(self, params: Message, call: Any) -> None:
        if self._transcript is None:
            raise Refused(-32602, "there is no session yet")
        if self._turn is not None and self._turn.is_alive():
            raise Refused(-32600, "a turn runs already")
        text = "".join(block.get("text", "") for block in params["prompt"])
        self._cancel = threading.Event()
        self._turn = threading.Thread(target=self._play, args=(self._transcript, text, call), daemon=True)
        self._turn.start()

    def _on_session_cancel(self, params: Message, call: Any) -> None:
        self._cancel.set()

    # --- a turn ---

    def _play(self, transcript: Transcript, text: str, call: Any) -> None:
        try:
            result = play(self, transcript, text, self._directory, self._cancel)
        except Failed as failed:
            self._send({"id": call, "error": {"code": -32603, "message": str(failed)}})
        except Exception as error:  # a client that waits for an answer must get one
            self._send({"id": call, "error": {"code": -32603, "message": f"{type(error).__name__}: {error}"}})
        else:
            self._send({"id": call, "result": result})

    def update(self, kind: str, /, **fields: Any) -> None:
        """Send a session update."""
        session = self._transcript.session if self._transcript else ""
        params = {"sessionId": session, "update": {"sessionUpdate": kind, **fields}}
        self._send({"method": "session/update", "params": params})

    def permitted(self, call: Message) -> bool:
        """Ask the client; raises Cancelled."""
        session = self._transcript.session if self._transcript else ""
        options = [
            {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
            {"optionId": "no", "name": "Reject", "kind": "reject_once"},
        ]
        with self._lock:
            self._asked += 1
            number = self._asked
        answers: queue.Queue[Message] = queue.Queue()
        self._answers[number] = answers
        params = {"sessionId": session, "toolCall": call, "options": options}
        self._send({"id": number, "method": "session/request_permission", "params": params})
        while True:
            try:
                answer = answers.get(timeout=0.02)
            except queue.Empty:
                if self._cancel.is_set():
                    raise Cancelled from None
                continue
            outcome = answer.get("result", {}).get("outcome", {})
            if outcome.get("outcome") == "cancelled" and self._cancel.wait(1):
                raise Cancelled
            return bool(outcome.get("optionId") == "yes")

    def raw(self, text: str) -> None:
        """Write a line that is no message."""
        with self._lock:
            self._writer.write(text.encode() + b"\n")
            self._writer.flush()

    def _replay(self, record: Message) -> None:
        kinds = {"prompt": "user_message_chunk", "agent": "agent_message_chunk"}
        if record["type"] in kinds:
            self.update(kinds[record["type"]], content={"type": "text", "text": record["text"]})

    def _modes(self) -> Message:
        modes = [{"id": key, "name": name} for key, name in MODES.items()]
        return {"currentModeId": self.mode, "availableModes": modes}

    def _send(self, message: Message) -> None:
        data = json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"
        with self._lock:
            self._writer.write(data)
            self._writer.flush()


def play(face: Any, transcript: Transcript, text: str, directory: Path, cancel: threading.Event) -> Message:
    """Play the turn this prompt asks for, or the rest of the one that was cut; the answer to `session/prompt`."""
    unfinished = transcript.unfinished()
    done, continues = 0, text.startswith(CONTINUE)
    if unfinished is not None and continues:
        text, done = unfinished
    else:
        # A transcript that came from elsewhere may be older than the request.
        text = (text.partition(REQUEST)[2] if continues else "") or text
        transcript.add(type="prompt", text=text)
    turn = Turn(face, transcript, directory, cancel)
    reason = "end_turn"
    try:
        steps = steps_for(text, transcript.turns - 1, directory)
        if face.mode == "plan":
            steps = [step for step in steps if step.verb in ("say", "think", "plan", "read", "usage")]
        turn.play(steps, done)
    except ScriptError as error:
        transcript.add(type="end", reason="error")
        raise Failed(str(error)) from None
    except Failed:
        transcript.add(type="end", reason="error")
        raise
    except Cancelled:
        reason = "cancelled"
    transcript.add(type="end", reason=reason)
    received, sent = turn.usage
    usage = {"totalTokens": received + sent, "inputTokens": received, "outputTokens": sent}
    return {"stopReason": reason, "usage": usage}
