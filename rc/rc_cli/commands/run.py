"""`rc run`: start a task and follow it. Standard library only until the task is made."""

from __future__ import annotations

import os
import sys

from rc_cli.credentials import present
from rc_cli.view.text import clean
from rc_client.fast import call
from rc_client.quick_json import encode
from rc_protos import ids

# Written out: importing typing costs as much as starting Python.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rc_client.client import DaemonClient
    from rc_protos.errors import RemoteClaudeError

# Making a base of a large working tree takes its time.
CREATE_SECONDS = 600.0
# What the daemon says to do about a coding agent that is not installed.
INSTALL = "rc agent install "


def run_task(prompt: str | None = None, *, detach: bool = False, as_json: bool = False, **wish: Any) -> int:
    """Create, then follow until it settles; the exit code says how it ended. `wish`: see `request`."""
    answer = _create(request(prompt, **wish))
    task = answer["task"]
    for notice in answer.get("notices", ()):
        sys.stderr.write(f"— {clean(notice)}\n")
    if as_json and detach:
        sys.stdout.write(
            encode({"id": task["id"], "name": task["spec"]["name"], "branch": task["branch"]}).decode() + "\n"
        )
        return 0
    name = task["spec"]["name"]
    if detach:
        sys.stdout.write(f"{task['id']}\n")
        sys.stderr.write(f"started {name}; follow it with: rc attach {name}\n")
        return 0
    sys.stderr.write(f"— {name} on branch {task['branch']}\n")
    sys.stderr.flush()
    try:
        return _follow(task["id"], as_json=as_json)
    except KeyboardInterrupt:
        # So early that nobody was there to ask.
        sys.stderr.write(f"\n— detached, {name} goes on; come back with: rc attach {name}\n")
        return 0


def request(
    prompt: str | None,
    *,
    file: str | None = None,
    agent: str = "",
    name: str = "",
    repo: str = "",
    ref: str = "",
    dirty: bool = False,
    on: str = "",
    options: list[str] | None = None,
    isolation: str = "",
    mode: str = "",
    model: str = "",
    timeout: int = 0,
    retries: int = 0,
) -> dict[str, Any]:
    """A CreateTaskRequest as JSON from what the user typed; raises usage."""
    text = _text(prompt, file).strip()
    if not text:
        raise _usage("the prompt is empty", 'such as: rc run "fix the flaky test"')
    repository, ref = _repository(repo, ref, dirty=dirty)
    spec = {
        "prompt": text,
        "name": name,
        "codingAgent": agent,
        "provider": on,
        "repository": repository,
        "ref": ref,
        "includeUncommitted": dirty,
        "isolation": isolation,
        "mode": mode,
        "model": model,
        "timeoutSeconds": timeout,
        "maxRetries": retries,
        "options": dict(pair(each) for each in options or []),
    }
    return {"spec": spec, "credentials": present(), "requestId": ids.new_id(), "directory": os.getcwd()}


def _create(wish: dict[str, Any]) -> Any:
    """Make the task; a coding agent that is not installed is offered to a person."""
    try:
        return call("TaskService.CreateTask", wish, seconds=CREATE_SECONDS)
    except Exception as error:
        hint = getattr(error, "hint", "")
        if not hint.startswith(INSTALL) or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise
        sys.stderr.write(f"{clean(str(getattr(error, 'message', error)))}. Install it now? [Y/n] ")
        sys.stderr.flush()
        if sys.stdin.readline().lower() not in ("\n", "y\n", "yes\n"):
            raise
    from rc_cli.commands.agents import install

    install(hint.removeprefix(INSTALL))
    return call("TaskService.CreateTask", wish, seconds=CREATE_SECONDS)


def _follow(task_id: str, *, as_json: bool) -> int:
    # All of this is brought in while the task gets its sandbox.
    from rc_cli.commands.follow import Follower
    from rc_cli.loop import with_client

    async def whole(client: DaemonClient) -> int:
        return await Follower(client, await client.get_task(task_id), as_json=as_json).follow()

    return with_client(whole)


def _text(prompt: str | None, file: str | None) -> str:
    """The prompt, from wherever it comes."""
    if prompt is not None and file is not None:
        raise _usage("a prompt and -F: which of the two?")
    if file is not None:
        return _read(file)
    if prompt == "-" or (prompt is None and not sys.stdin.isatty()):
        return sys.stdin.read()
    if prompt is None:
        raise _usage("there is no prompt", 'such as: rc run "fix the flaky test"')
    return prompt


def _repository(repo: str, ref: str, *, dirty: bool) -> tuple[str, str]:
    if not repo:
        return os.getcwd(), ref
    if dirty:
        raise _usage("--dirty takes this working tree's files along; it does not go with --repo")
    # The last @ after the last slash: user@host:path has one before.
    place, at, found = repo.rpartition("@")
    if at and "/" not in found and ":" not in found and place:
        return _absolute(place), ref or found
    return _absolute(repo), ref


def pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise _usage(f"-o {text} is not NAME=VALUE", "such as: -o memory=4g")
    return name, value


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise _usage(f"-F {path} cannot be read: {why}") from None


def _usage(message: str, hint: str = "") -> RemoteClaudeError:
    from rc_protos.errors import usage

    return usage(message, hint)


def _absolute(place: str) -> str:
    return os.path.abspath(place) if "://" not in place and os.path.isdir(place) else place
