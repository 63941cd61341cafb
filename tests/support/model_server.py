"""A scripted model: the Messages API with streaming, deterministic, loud about any request that it did not expect.

A script is a list of replies; each names what the conversation's last message must hold. What it is asked beyond that
is an error, kept in `problems`, and answered with HTTP 400.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL_TOKENS = {
    "input_tokens": 200,
    "output_tokens": 40,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
}


@dataclass(frozen=True)
class Reply:
    """One answer: text, or a tool call; `expects` must be in what came last; `hold` keeps the answer back."""

    expects: str
    text: str = ""
    tool: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    hold: threading.Event | None = None


class ModelServer:
    """Listens on loopback or where it is told; stateless: the step is found by what the last message holds."""

    def __init__(self, script: list[Reply], host: str = "127.0.0.1") -> None:
        self.script = script
        self.problems: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is set to."""
        return "http://{}:{}".format(*self._server.server_address)

    def answer(self, body: dict[str, Any]) -> Reply:
        """The reply to a request; raises LookupError for one that is in no script."""
        last = json.dumps(_last(body["messages"]), ensure_ascii=False)
        for reply in self.script:
            if reply.expects in last:
                return reply
        raise LookupError(f"no reply is scripted for: {last[:2000]}")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Quiet."""

            def do_HEAD(self) -> None:
                self._plain(200, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                path = self.path.partition("?")[0]
                if path == "/v1/messages/count_tokens":
                    self._plain(200, {"input_tokens": 200})
                    return
                if path != "/v1/messages":
                    server.problems.append(f"unexpected POST {self.path}")
                    self._plain(404, {"error": {"type": "not_found_error", "message": self.path}})
                    return
                server.requests.append(body)
                try:
                    reply = server.answer(body)
                except LookupError as error:
                    server.problems.append(str(error))
                    self._plain(
                        400, {"type": "error", "error": {"type": "invalid_request_error", "message": str(error)}}
                    )
                    return
                if reply.hold is not None:
                    reply.hold.wait(60)
                self._stream(body, reply)

            def do_GET(self) -> None:
                server.problems.append(f"unexpected GET {self.path}")
                self._plain(404, {"error": {"type": "not_found_error", "message": self.path}})

            def _plain(self, status: int, message: dict[str, Any]) -> None:
                data = json.dumps(message).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def _stream(self, body: dict[str, Any], reply: Reply) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                try:
                    for event in events(body["model"], reply):
                        self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
                        self.wfile.flush()
                except (BrokenPipeError, ConnectionResetError):
                    return

        return Handler

    @contextmanager
    def serving(self) -> Iterator[ModelServer]:
        """Serve in the block."""
        thread = threading.Thread(target=self._server.serve_forever, name="model-server", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join(10)


def events(model: str, reply: Reply) -> Iterator[dict[str, Any]]:
    """The server-sent events of one reply, text in two pieces."""
    message = {
        "id": f"msg_{abs(hash((reply.expects, reply.text, reply.tool))) % 10**12:012d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**MODEL_TOKENS, "output_tokens": 1},
    }
    yield {"type": "message_start", "message": message}
    index = 0
    if reply.text:
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        half = len(reply.text) // 2
        for piece in (reply.text[:half], reply.text[half:]):
            delta = {"type": "text_delta", "text": piece}
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
        index += 1
    if reply.tool:
        block = {
            "type": "tool_use",
            "id": f"toolu_{index}{abs(hash(reply.expects)) % 10**10}",
            "name": reply.tool,
            "input": {},
        }
        yield {"type": "content_block_start", "index": index, "content_block": block}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(reply.arguments)}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    reason = "tool_use" if reply.tool else "end_turn"
    yield {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": MODEL_TOKENS}
    yield {"type": "message_stop"}


def _last(messages: list[dict[str, Any]]) -> Any:
    """What the user's side said last."""
    users = [message for message in messages if message["role"] == "user"]
    return users[-1]["content"] if users else ""
