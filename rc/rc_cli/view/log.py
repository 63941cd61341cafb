"""`rc logs` and `rc events`: what happened, as text."""

from __future__ import annotations

import sys
import time

from rc_cli.view.conversation import Printer
from rc_cli.view.text import clean, dumped, epoch, fit, one_line
from rc_client.quick_json import decode

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def logs(task: str, *, tail: str | int = "", since: str = "", as_json: bool = False) -> int:
    """Print the conversation of a task so far; `tail` counts its last lines, with JSON its last events."""
    if as_json:
        return events(task, tail=tail, since=since, as_json=True)
    printer = Printer()
    sys.stdout.write(conversation(fetch(task, since=since), printer, number(tail)) + printer.finish())
    return 0


def conversation(found: list[dict[str, Any]], printer: Printer, tail: int = -1) -> str:
    """Events as text, of which the last `tail` lines are kept; -1 keeps all. A last line may still be open."""
    text = "".join(printer.show(each["kind"], decode(each.get("payload", "{}"))) for each in found)
    lines = text.splitlines(keepends=True)
    return "".join(lines[max(len(lines) - tail, 0) :]) if tail >= 0 else text


def events(task: str = "", *, tail: str | int = "", since: str = "", as_json: bool = False) -> int:
    """Print the events of a task, or of all."""
    wanted = number(tail)
    for event in fetch(task, since=since, tail=max(0, wanted)) if wanted else ():
        sys.stdout.write(dumped(decoded(event), 0) if as_json else line(event) + "\n")
    return 0


def fetch(task: str, *, since: str = "", tail: int = 0) -> list[dict[str, Any]]:
    """Events as the wire JSON has them."""
    from rc_client.fast import call

    request: dict[str, Any] = {"task": task}
    if tail:
        request["tail"] = tail
    if since:
        request["since"] = moment(since)
    found: list[dict[str, Any]] = []
    while True:
        page = call("EventService.ListEvents", {**request, "afterSeq": found[-1]["seq"] if found else 0})
        events_ = page.get("events", [])
        found += events_
        if tail or len(events_) < 10_000:
            return found


def decoded(event: dict[str, Any]) -> dict[str, Any]:
    """An event with its payload as JSON, not as text."""
    return {**event, "seq": int(event["seq"]), "payload": decode(event.get("payload", "{}"))}


def line(event: dict[str, Any]) -> str:
    """One event on one line."""
    clock = time.strftime("%H:%M:%S", time.localtime(epoch(event["time"])))
    payload = fit(one_line(event.get("payload", "")), 160)
    return clean(f"{event['seq']:>6}  {clock}  {event.get('taskId', '')[-6:]:6}  {event['kind']:<18} {payload}")


def moment(text: str) -> str:
    """An RFC 3339 time from "10m", "2h" or such a time itself; raises usage."""
    from rc_protos.errors import usage

    if text[-1:] in UNITS and text[:-1].isdigit():
        past = time.time() - int(text[:-1]) * UNITS[text[-1]]
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(past))
    import datetime

    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise usage(f"--since: {text!r} is no time", "such as 10m, 2h, 3d or 2026-11-24T12:00") from None
    return found.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def number(text: str | int) -> int:
    """A count, or -1 for none given; raises usage."""
    from rc_protos.errors import usage

    if text == "":
        return -1
    if isinstance(text, int) or text.isdigit():
        return int(text)
    raise usage(f"--tail: {text!r} is no number")
