"""sandbox ls|show|start|stop|rm|adopt."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

from rc_cli.loop import with_client
from rc_cli.view.text import clean, one_line, table
from rc_protos.model import SeenSandbox, Standing

WORDS = {Standing.ADOPTED: "you", Standing.ORPHAN: "nobody", Standing.FOREIGN: "another installation"}


def ls(*, as_json: bool) -> int:
    """Print all; on stderr what could not be asked, and what to do with those that nobody wants."""
    found, problems = with_client(lambda client: client.see_sandboxes())
    for line in problems:
        sys.stderr.write(f"rc: {one_line(line)}\n")
    if as_json:
        sys.stdout.write(json.dumps([_document(each) for each in found], indent=2) + "\n")
        return 0
    rows = [
        (each.sandbox.id, each.sandbox.provider, each.state, each.sandbox.isolation, _whose(each)) for each in found
    ]
    sys.stdout.write(table(("SANDBOX", "PROVIDER", "STATE", "ISOLATION", "BELONGS TO"), rows))
    if any(each.standing in (Standing.ORPHAN, Standing.FOREIGN) for each in found):
        sys.stderr.write("what no task of yours answers for: rc sandbox show, adopt or rm\n")
    return 0


def show(which: str, *, as_json: bool) -> int:
    """Print one."""
    seen = with_client(lambda client: client.get_sandbox(which))
    if as_json:
        sys.stdout.write(json.dumps(_document(seen), indent=2) + "\n")
        return 0
    row = seen.sandbox
    lines = [
        ("sandbox", row.id),
        ("provider", f"{row.provider}  {row.external_id}"),
        ("state", seen.state),
        ("belongs to", _whose(seen)),
        ("isolation", row.isolation),
        ("workspace", seen.workspace),
        ("made", row.created_at.isoformat(" ", "seconds") if row.created_at else ""),
        *(("", each) for each in seen.notices),
    ]
    sys.stdout.write("".join(f"{name:>12}  {one_line(text)}\n" for name, text in lines if text))
    sys.stdout.write("".join(f"{'':>12}  | {clean(line)}\n" for line in seen.log.splitlines()))
    return 0


def start(which: str) -> int:
    """Bring it back."""
    return _told(with_client(lambda client: client.start_sandbox(which)), "runs")


def stop(which: str) -> int:
    """End its processes."""
    return _told(with_client(lambda client: client.stop_sandbox(which)), "is stopped")


def adopt(which: str) -> int:
    """Make it this installation's."""
    seen = with_client(lambda client: client.adopt_sandbox(which))
    return _told(seen, f"is yours; remove it, its workspace saved, with: rc sandbox rm {seen.sandbox.id}")


def rm(which: str, *, discard: bool) -> int:
    """Remove it, and print where its workspace is."""
    seen, saved_to = with_client(lambda client: client.remove_sandbox(which, discard=discard))
    _told(seen, "is removed")
    if saved_to:
        sys.stderr.write("its workspace is saved to:\n")
        sys.stdout.write(f"{saved_to}\n")
    return 0


def _told(seen: SeenSandbox, what: str) -> int:
    sys.stderr.write(f"the {seen.sandbox.provider} sandbox {seen.sandbox.id} {what}\n")
    return 0


def _whose(seen: SeenSandbox) -> str:
    return WORDS.get(seen.standing) or f"the task {seen.task_name}"


def _document(seen: SeenSandbox) -> dict[str, Any]:
    row = seen.sandbox
    made = row.created_at.isoformat() if row.created_at else ""
    return {**dataclasses.asdict(seen), "sandbox": {**dataclasses.asdict(row), "created_at": made}}
