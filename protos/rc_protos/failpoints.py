"""Named places at which a test kills the process, to show that what follows a crash is right. Standard library only.

`RC_FAILPOINT=name` kills at the first hit, `name:3` at the third; the name goes to the file `RC_FAILPOINT_LOG` first.
"""

from __future__ import annotations

import os
import signal

# Every failpoint and where it stands; a name that is not here cannot be hit.
FAILPOINTS: dict[str, str] = {
    "task.create.before_commit": "daemon: a task was asked for, nothing is recorded",
    "task.create.pinned": "daemon: the base is pinned in the user's repository, the task not recorded",
    "task.create.after_commit": "daemon: a task is recorded, its caller not told",
    "task.intent.before_commit": "daemon: a stop or removal was asked for, not yet recorded",
    "task.intent.after_commit": "daemon: a stop or removal is recorded, nothing done",
    "task.again.before_commit": "daemon: more was said, or a resume asked for; not yet recorded",
    "task.again.after_commit": "daemon: more work is recorded, its caller not told",
    "inbox.answer.before_commit": "daemon: a request was answered, which is not yet recorded",
    "inbox.answer.after_commit": "daemon: the answer to a request is recorded, the coding agent not told",
    "task.CreateSandbox.created": "daemon: the provider has made a sandbox, which is not yet recorded",
    "task.StartSandbox.started": "daemon: the provider has started a sandbox, which is not yet recorded",
    "task.StopSandbox.stopped": "daemon: the provider has stopped a sandbox, which is not yet recorded",
    "task.DestroySandbox.intended": "daemon: the intent to destroy is recorded, the sandbox still there",
    "task.DestroySandbox.destroyed": "daemon: the provider has destroyed a sandbox, which is not yet recorded",
    "task.Prepare.prepared": "daemon: the workspace is made, which is not yet recorded",
    "task.SaveWork.bundled": "daemon: the work is on the host as a bundle, not in the safe copy",
    "task.SaveWork.fetched": "daemon: the safe copy has the objects, its refs are the old ones",
    "task.SaveWork.taken": "daemon: the safe copy is new, the transcript beside it the old one",
    "task.SaveWork.copied": "daemon: the safe copy and the transcript are new, which is not yet recorded",
    "task.KeepWork.written": "daemon: work kept beyond the task is written, not in its place",
    "task.KeepWork.kept": "daemon: work kept beyond the task is in its place, which is not yet recorded",
    "task.Release.unpinned": "daemon: the base is let go, the task not yet removed",
    "task.Settle.before": "daemon: before a task's state",
    "task.Settle.after": "daemon: after a task's state",
    "task.IntendSandbox.before": "daemon: before the intent to make a sandbox",
    "task.IntendSandbox.after": "daemon: after the intent to make a sandbox",
    "task.CreateSandbox.before": "daemon: before a sandbox",
    "task.CreateSandbox.after": "daemon: after a sandbox",
    "task.FindSandbox.before": "daemon: before the search for an intended sandbox",
    "task.FindSandbox.after": "daemon: after the search for an intended sandbox",
    "task.StartSandbox.before": "daemon: before the start of a sandbox",
    "task.StartSandbox.after": "daemon: after the start of a sandbox",
    "task.LoseSandbox.before": "daemon: before the loss of a sandbox",
    "task.LoseSandbox.after": "daemon: after the loss of a sandbox",
    "task.EnsureLink.before": "daemon: before the link",
    "task.EnsureLink.after": "daemon: after the link",
    "task.Prepare.before": "daemon: before the workspace",
    "task.Prepare.after": "daemon: after the workspace",
    "task.StartConversation.before": "daemon: before the coding agent",
    "task.StartConversation.after": "daemon: after the coding agent",
    "task.WakeConversation.before": "daemon: before a prompt",
    "task.WakeConversation.after": "daemon: after a prompt",
    "task.CloseConversation.before": "daemon: before the end of the coding agent",
    "task.CloseConversation.after": "daemon: after the end of the coding agent",
    "task.SaveWork.before": "daemon: before a safe copy",
    "task.SaveWork.after": "daemon: after a safe copy",
    "task.KeepWork.before": "daemon: before work kept beyond the task",
    "task.KeepWork.after": "daemon: after work kept beyond the task",
    "task.StopSandbox.before": "daemon: before the stop of a sandbox",
    "task.StopSandbox.after": "daemon: after the stop of a sandbox",
    "task.DestroySandbox.before": "daemon: before the end of a sandbox",
    "task.DestroySandbox.after": "daemon: after the end of a sandbox",
    "task.QuietSandbox.before": "daemon: before the end of the sessions of a sandbox that is left",
    "task.QuietSandbox.after": "daemon: after the end of the sessions of a sandbox that is left",
    "task.SwitchSandbox.before": "daemon: before a task changes hands",
    "task.SwitchSandbox.after": "daemon: after a task has changed hands",
    "task.AbandonMove.before": "daemon: before a move is given up",
    "task.AbandonMove.after": "daemon: after a move was given up",
    "task.RetireSandbox.before": "daemon: before the end of a sandbox that was left",
    "task.RetireSandbox.after": "daemon: after the end of a sandbox that was left",
    "task.Release.before": "daemon: before what a removed task holds",
    "task.Release.after": "daemon: after what a removed task holds",
    "conversation.intend.before_commit": "daemon: the coding agent's session is chosen, not yet recorded",
    "conversation.intend.after_commit": "daemon: the coding agent's session is recorded, not yet opened",
    "conversation.open.after_call": "daemon: the coding agent runs, which is not yet recorded",
    "conversation.open.after_commit": "daemon: the coding agent runs and is recorded",
    "conversation.close.after_call": "daemon: the coding agent is ended, which is not yet recorded",
    "conversation.commit.before": "daemon: output of the coding agent was read, nothing of it recorded",
    "conversation.commit.after": "daemon: what the coding agent's output led to is recorded",
    "outbox.deliver.before": "daemon: bytes are owed to a coding agent, none is sent",
    "outbox.deliver.after": "daemon: the coding agent has the bytes, the outbox still holds them",
    "mirror.ack.before": "daemon: output is on this host, the sandbox not told",
    "mirror.ack.after": "daemon: output is on this host, the sandbox told",
    "work.apply.before": "daemon: the work fits the working tree, which is unchanged",
    "work.apply.after": "daemon: the work is in the working tree, the caller not told",
    "work.fetch.after": "daemon: the work is a local branch, which is not yet recorded",
    "agent.session.before_holder": "agent: a session is asked for, its holder not yet started",
    "agent.session.after_holder": "agent: the holder runs, the caller does not know it yet",
}

_hits: dict[str, int] = {}


def failpoint(name: str) -> None:
    """Kill this process with SIGKILL if `RC_FAILPOINT` names this place and this hit."""
    if name not in FAILPOINTS:
        raise KeyError(f"failpoint {name} is not declared in rc_protos.failpoints")
    armed = os.environ.get("RC_FAILPOINT")
    if not armed:
        return
    wanted, _, count = armed.partition(":")
    if wanted != name:
        return
    _hits[name] = _hits.get(name, 0) + 1
    if _hits[name] != int(count or "1"):
        return
    _record(name)
    os.kill(os.getpid(), signal.SIGKILL)


def _record(name: str) -> None:
    path = os.environ.get("RC_FAILPOINT_LOG")
    if not path:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"{name}\n".encode())
    finally:
        os.close(descriptor)
