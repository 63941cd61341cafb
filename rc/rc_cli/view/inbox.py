"""`rc inbox`."""

from __future__ import annotations

import sys

from rc_cli.view.text import age, dumped, table

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def inbox(task: str = "", *, everything: bool = False, as_json: bool = False) -> int:
    """Print what waits for the human."""
    from rc_client.fast import call

    request: dict[str, Any] = {"includeAnswered": everything}
    if task:
        request["task"] = task
    found = call("InboxService.ListRequests", request).get("requests", [])
    for each in found:
        each["state"] = each.get("state", "").removeprefix("REQUEST_STATE_").lower()
    if as_json:
        sys.stdout.write(dumped(found))
    elif not found:
        sys.stderr.write("nothing waits for you\n")
    else:
        rows = [
            (
                each["id"],
                each.get("taskName", ""),
                each.get("kind", ""),
                each["state"],
                age(each.get("createdAt", "")),
                each.get("title", ""),
            )
            for each in found
        ]
        sys.stdout.write(
            table(("REQUEST", "TASK", "KIND", "STATE", "AGE", "WHAT"), rows, drop=("KIND", "STATE", "AGE"))
        )
        sys.stderr.write("answer with: rc approve REQUEST|TASK   ·   rc deny REQUEST|TASK [--because ...]\n")
    return 0
