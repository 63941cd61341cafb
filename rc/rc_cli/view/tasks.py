"""`rc ls` and `rc show`."""

from __future__ import annotations

import sys
import time

from rc_cli.view.text import age, clean, dumped, fit, one_line, paint, size, table

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COLOURS = {"working": "32", "waiting": "33", "failed": "31", "done": "36", "queued": "2", "stopped": "2"}


def tasks(filters: list[str] | None = None, everything: bool = False, *, brief: bool = True) -> list[dict[str, Any]]:
    """Tasks as the wire JSON has them, their state in our words; `brief`: only what the table shows."""
    from rc_client.fast import call

    request: dict[str, Any] = {"brief": brief}
    if filters:
        request["filters"] = filters
    if everything:
        request["includeRemoved"] = True
    return [plain(task) for task in call("TaskService.ListTasks", request).get("tasks", [])]


def plain(task: dict[str, Any]) -> dict[str, Any]:
    """A task with its state in our words, in place."""
    task["state"] = state(task)
    return task


def state(task: dict[str, Any]) -> str:
    """The state in our words, such as working for TASK_STATE_WORKING."""
    return str(task.get("state", "")).removeprefix("TASK_STATE_").lower()


def ls(
    *,
    quiet: bool = False,
    everything: bool = False,
    filters: list[str] | None = None,
    template: str = "",
    as_json: bool = False,
) -> int:
    """Print the tasks."""
    found = tasks(filters, everything, brief=not (as_json or template))
    if as_json:
        sys.stdout.write(dumped(found))
    elif quiet:
        sys.stdout.write("".join(f"{task['id']}\n" for task in found))
    elif template:
        sys.stdout.write("".join(_filled(template, task) + "\n" for task in found))
    elif not found:
        sys.stderr.write("no task is such\n" if filters else 'no tasks; start one with: rc run "..."\n')
    else:
        sys.stdout.write(listing(found))
    return 0


def listing(found: list[dict[str, Any]]) -> str:
    """The table of `rc ls`."""
    now = time.time()
    rows = []
    for task in found:
        spec = task["spec"]
        rows.append(
            (
                spec.get("name", ""),
                task["state"],
                spec.get("codingAgent", ""),
                _where(spec),
                age(task.get("createdAt", ""), now),
                age(task.get("savedAt", ""), now),
                _doing(task),
            )
        )
    return table(
        ("NAME", "STATE", "AGENT", "WHERE", "AGE", "SAVED", "DOING"), rows, drop=("SAVED", "AGENT", "WHERE", "AGE")
    )


def show(name: str, *, as_json: bool = False) -> int:
    """Print one task."""
    from rc_client.fast import call

    task = plain(call("TaskService.GetTask", {"task": name})["task"])
    if as_json:
        sys.stdout.write(dumped(task))
    else:
        sys.stdout.write(described(task))
    return 0


def described(task: dict[str, Any]) -> str:
    """Everything a person wants to know of a task, and what to type next."""
    spec = task.get("spec", {})
    usage = task.get("usage", {})
    lines = [
        ("task", f"{spec.get('name', '')}  ({task['id']})"),
        ("state", paint(task["state"], COLOURS.get(task["state"], "0")) + _why(task)),
        ("prompt", fit(one_line(spec.get("prompt", "")), 200)),
        ("agent", " ".join(each for each in (spec.get("codingAgent", ""), spec.get("model", "")) if each)),
        ("where", f"{_where(spec)}  link {task.get('linkState') or '-'}  sandbox {task.get('sandboxId') or '-'}"),
        ("repository", spec.get("repository", "")),
        ("branch", f"{task.get('branch', '-')}  from {task.get('baseCommit', '')[:12]}"),
        ("doing", one_line(task.get("activity", ""))),
        ("last safe copy", _saved(task)),
        ("credentials", _custody(task)),
        ("usage", _usage(usage)),
        ("uses", _uses(task.get("stats", {}))),
        ("age", age(task.get("createdAt", ""))),
        ("work saved to", task.get("savedTo", "")),
    ]
    text = "".join(
        f"{name:>15}  {clean(str(value))}\n" if name != "state" else f"{name:>15}  {value}\n"
        for name, value in lines
        if value
    )
    for line in task.get("evidence", []):
        text += f"{'':>15}  | {one_line(line)}\n"
    return text + f"{'next':>15}  {_next(task)}\n"


def _doing(task: dict[str, Any]) -> str:
    """What it does; for one that does nothing, why: what it waits for, why it failed."""
    reason = task.get("reason", "") if task["state"] in ("waiting", "queued", "failed", "stopped") else ""
    return reason or task.get("activity") or one_line(task["spec"].get("prompt", "")[:200])[:60]


def _why(task: dict[str, Any]) -> str:
    reason = one_line(task.get("reason", ""))
    return f"  ({reason})" if reason else ""


def _where(spec: dict[str, Any]) -> str:
    provider = str(spec.get("provider", ""))
    return f"{provider} (not isolated)" if spec.get("isolation") == "none" else provider


def _saved(task: dict[str, Any]) -> str:
    return f"{age(task['savedAt'])} ago" if task.get("savedAt") else "none yet"


def _custody(task: dict[str, Any]) -> str:
    custody = str(task.get("credentialCustody", "none"))
    return {
        "forwarded": "forwarded over the link to the coding agent's process; not stored",
        "none": "none needed or none given",
    }.get(custody, custody)


def _usage(usage: dict[str, Any]) -> str:
    if not usage:
        return ""
    tokens = f"{usage.get('inputTokens', 0)} in, {usage.get('outputTokens', 0)} out"
    cost = f", {usage['cost']:.4f} {usage.get('currency', '')}" if usage.get("cost") else ""
    return tokens + cost


def _uses(stats: dict[str, Any]) -> str:
    if not stats:
        return ""
    memory, limit, free = (int(stats.get(f"{each}Bytes", 0)) for each in ("memory", "memoryLimit", "diskFree"))
    most = f" of {size(limit)}" if limit else ""
    return (
        f"{float(stats.get('cpu', 0)):.2f} processors, {size(memory)}{most} of memory, "
        f"{stats.get('processes', 0)} processes; {size(free)} of disk are free"
    )


def _next(task: dict[str, Any]) -> str:
    name = task.get("spec", {}).get("name") or task["id"]
    commands = {
        "waiting": "rc inbox · rc approve {0} · rc attach {0}",
        "done": "rc diff {0} · rc apply {0} · rc say {0} '...' · rc rm {0}",
        "failed": "rc logs {0} · rc resume {0} · rc retry {0}",
        "stopped": "rc resume {0} · rc diff {0} · rc rm {0}",
        "removed": "rc events {0}",
    }
    return commands.get(task["state"], "rc attach {0} · rc logs {0} -f").format(name)


def _filled(template: str, task: dict[str, Any]) -> str:
    """The template with {name}, {id}, {state} and every other field of the task or its spec."""
    from rc_protos.errors import usage

    fields = {**task.get("spec", {}), **{key: value for key, value in task.items() if key != "spec"}}
    known = {"reason": "", "branch": "", "activity": "", "savedAt": "", "model": "", "isolation": "", **fields}
    try:
        return clean(template.format_map(known))
    except (KeyError, ValueError, IndexError) as error:
        raise usage(f"--format: there is no field {error}", f"there are: {', '.join(sorted(known))}") from None
