"""`rc daemon status`."""

from __future__ import annotations

import sys

from rc_cli.view.text import age, clean, dumped, size


def status(*, as_json: bool = False) -> int:
    """Print how the daemon is; exit code 11 when it does not run."""
    from rc_client.fast import call
    from rc_protos.version import VERSION

    try:
        found = call("DaemonService.GetStatus", start=False)
    except Exception as error:
        from rc_protos.errors import ErrorCode, RemoteClaudeError

        if isinstance(error, RemoteClaudeError) and error.code is ErrorCode.UNAVAILABLE:
            sys.stdout.write('{"running": false}\n' if as_json else "the daemon does not run\n")
            return error.border.exit
        raise
    if as_json:
        sys.stdout.write(dumped(found))
        return 0
    lines = [
        ("version", f"{found['version']}, protocol {found.get('protocol', 0)}"),
        ("pid", found["pid"]),
        ("up", age(found["startedAt"])),
        ("memory", size(int(found.get("residentBytes", 0)))),
        ("tasks", f"{found.get('tasks', 0)}, of which {found.get('running', 0)} run"),
        ("data", f"{found['dataDirectory']}, {size(int(found.get('diskFreeBytes', 0)))} free"),
        ("log", found["logFile"]),
    ]
    for link in found.get("links", []):
        word = link["state"].lower() if link.get("state") else "connecting"
        error_text = f"  {link['lastError']}" if link.get("lastError") else ""
        lines.append(("link", f"{link['sandboxId']}  {word} for {age(link.get('since', ''))}{error_text}"))
    if found["version"] != VERSION:
        lines.append(("note", f"this rc is {VERSION}; rc daemon restart brings it up, tasks live through it"))
    lines += [("warning", text) for text in found.get("warnings", [])]
    sys.stdout.write("".join(f"{name:>8}  {clean(str(value))}\n" for name, value in lines))
    return 0
