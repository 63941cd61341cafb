"""What a shell's completion asks for."""

from __future__ import annotations

import sys


def complete(kind: str, prefix: str) -> int:
    """Print the words that begin with a prefix, one a line; silent when the daemon does not run."""
    from rc_client.fast import call

    try:
        if kind == "request":
            found = call("InboxService.ListRequests", start=False).get("requests", [])
            words = [each["id"] for each in found] + [each.get("taskName", "") for each in found]
        else:
            found = call("TaskService.ListTasks", {"brief": True}, start=False).get("tasks", [])
            words = [each["spec"]["name"] for each in found] + [each["id"] for each in found]
    except Exception:
        from rc_protos.errors import RemoteClaudeError

        if not isinstance(sys.exc_info()[1], RemoteClaudeError):
            raise
        return 0
    sys.stdout.write("".join(f"{word}\n" for word in dict.fromkeys(words) if word and word.startswith(prefix)))
    return 0
