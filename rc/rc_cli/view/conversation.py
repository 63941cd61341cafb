"""Events of a conversation as lines on a terminal."""

from __future__ import annotations

from rc_cli.view.text import clean, fit, one_line, paint

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Payload = dict[str, Any]
MARKS = {"completed": "✓", "in_progress": "▸", "pending": "·", "failed": "✗"}


class Printer:
    """Text arrives in pieces; everything else begins a line of its own."""

    def __init__(self, *, thoughts: bool = False) -> None:
        self._thoughts = thoughts
        self._open = False
        self._message: object = None
        self._asked = False
        self._titles: dict[str, str] = {}
        self._plan = ""

    def show(self, kind: str, payload: Payload) -> str:
        """What to print for an event; empty for those that are of no interest here."""
        if kind == "message.text":
            return self._text(str(payload.get("text", "")), payload.get("message_id"))
        if kind == "turn.ended":
            return self.finish()
        how = _LINES.get(kind)
        if kind == "message.thought" and not self._thoughts:
            how = None
        line = how(self, payload) if how else ""
        return self.finish() + line + "\n" if line else ""

    @property
    def midline(self) -> bool:
        """The last text has not ended its line."""
        return self._open

    def finish(self) -> str:
        """The end of a line that is still open."""
        ended, self._open = "\n" if self._open else "", False
        return ended

    def _text(self, text: str, message: object) -> str:
        shown = clean(text)
        if not shown:
            return ""
        before = self.finish() if message != self._message else ""
        self._open, self._message = not shown.endswith("\n"), message
        return before + shown

    def _prompt(self, payload: Payload) -> str:
        return paint(f"> {clean(str(payload.get('text', '')))}", "1")

    def _thought(self, payload: Payload) -> str:
        return paint(f"  ({one_line(str(payload.get('text', '')))})", "2")

    def _call(self, payload: Payload) -> str:
        title = one_line(str(payload.get("title", "") or payload.get("kind", "")))
        self._titles[str(payload.get("id"))] = title
        return paint(f"● {fit(title, 200)}", "36")

    def _update(self, payload: Payload) -> str:
        status = payload.get("status")
        known = self._titles.get(str(payload.get("id")), "")
        title = one_line(str(payload.get("title") or known))
        if status == "failed":
            return paint(f"✗ {title}", "31")
        if title and title != known:
            self._titles[str(payload.get("id"))] = title
            return paint(f"● {fit(title, 200)}", "36")
        return ""

    def _show_plan(self, payload: Payload) -> str:
        entries = payload.get("entries") or []
        lines = [f"  {MARKS.get(each.get('status'), '·')} {one_line(str(each.get('content', '')))}" for each in entries]
        text = "\n".join(lines)
        if text == self._plan:
            return ""
        self._plan = text
        return text

    def _opened(self, payload: Payload) -> str:
        self._asked = True
        return paint(f"? {one_line(str(payload.get('title', '')))}", "33")

    def _answered(self, payload: Payload) -> str:
        self._asked = False
        because = f": {payload['because']}" if payload.get("because") else ""
        return paint(f"  {'approved' if payload.get('approve') else 'denied'}{one_line(because)}", "33")

    def _state(self, payload: Payload) -> str:
        if self._asked and payload.get("to") == "waiting":
            # For the request that was shown.
            return ""
        reason = f"  {one_line(str(payload.get('reason', '')))}" if payload.get("reason") else ""
        return paint(f"— {payload.get('to', '')}{reason}", "2")

    def _error(self, payload: Payload) -> str:
        hint = f"  ({one_line(str(payload['hint']))})" if payload.get("hint") else ""
        return paint(f"! {one_line(str(payload.get('message', '')))}{hint}", "31")

    def _notice(self, payload: Payload) -> str:
        return paint(f"— {one_line(str(payload.get('text', '')))}", "2")


_LINES: dict[str, Callable[[Printer, Payload], str]] = {
    "task.prompt": Printer._prompt,
    "message.thought": Printer._thought,
    "tool.call": Printer._call,
    "tool.update": Printer._update,
    "plan": Printer._show_plan,
    "request.opened": Printer._opened,
    "request.answered": Printer._answered,
    "task.state": Printer._state,
    "error": Printer._error,
    "notice": Printer._notice,
}
