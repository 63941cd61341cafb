"""What a shell's completion asks for."""

from __future__ import annotations

import sys


def complete(kind: str, prefix: str) -> int:
    """Print the words that begin with a prefix, one a line; silent when the daemon does not run.

    Of the kind "flag": the flags of the command that the prefix is, as in "run" or "daemon-logs", or begins with.
    """
    if kind == "flag":
        return _flags(prefix)
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


def _flags(command: str) -> int:
    """From the generated help, which has them all."""
    import os
    import re

    for name in (command, command.partition("-")[0]):
        path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "help", f"{name}.txt")
        if "/" not in name and os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                sys.stdout.write(
                    "".join(f"{flag}\n" for flag in re.findall(r"^  (?:-\w, )?(--[a-z-]+)", file.read(), re.M))
                )
            return 0
    return 0
