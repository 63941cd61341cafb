"""docs/surface.md: every capability is one row. What is declared here is checked against protos, code and commands."""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import commands
from tables import MADE, markdown

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """One capability: one RPC, one use case (dotted name), one command, at most one place in the TUI."""

    what: str
    rpc: str
    use_case: str
    command: str
    tui: str = ""


@dataclass(frozen=True)
class Plumbing:
    """An RPC that carries part of other capabilities and is none by itself."""

    rpc: str
    use_case: str
    part_of: str


@dataclass(frozen=True)
class Composed:
    """A command that is made of RPCs of other rows, or needs none."""

    command: str
    made_of: str


TASKS = "rc_daemon.tasks.service.TaskService"
FILES = "rc_agent.files.service.FileService"
FORWARDS = "rc_agent.forwards.service.ForwardService"
SANDBOXES = "rc_daemon.tasks.sandboxes.SandboxService"
INBOX = "rc_daemon.tasks.inbox.InboxService"

ROWS = [
    Row("start a task", "TaskService.CreateTask", f"{TASKS}.create", "rc run"),
    Row("list tasks", "TaskService.ListTasks", f"{TASKS}.list", "rc ls"),
    Row("see one task", "TaskService.GetTask", f"{TASKS}.get", "rc show"),
    Row("add a message", "TaskService.SayTask", f"{TASKS}.say", "rc say"),
    Row("end the running turn", "TaskService.CancelTurn", f"{TASKS}.cancel", "rc cancel"),
    Row("end a task's processes", "TaskService.StopTask", f"{TASKS}.stop", "rc stop"),
    Row("start them again", "TaskService.ResumeTask", f"{TASKS}.resume", "rc resume"),
    Row("try again from the start", "TaskService.RetryTask", f"{TASKS}.retry", "rc retry"),
    Row("move a task to another provider", "TaskService.MoveTask", f"{TASKS}.move", "rc move"),
    Row("remove a task, its work saved", "TaskService.RemoveTask", f"{TASKS}.remove", "rc rm"),
    Row("see the work", "TaskService.DiffTask", f"{TASKS}.diff", "rc diff"),
    Row("put the work into the working tree", "TaskService.ApplyTask", f"{TASKS}.apply", "rc apply"),
    Row("bring the work as a branch", "TaskService.FetchTask", f"{TASKS}.fetch", "rc fetch"),
    Row("use the coding agent's own TUI", "TaskService.OpenNative", f"{TASKS}.open_native", "rc attach --native"),
    Row("see what happened", "EventService.ListEvents", "rc_daemon.store.store.Store.read", "rc events"),
    Row("wait for tasks", "EventService.WatchEvents", "rc_daemon.store.store.Store.watch", "rc wait"),
    Row("see what waits for you", "InboxService.ListRequests", f"{INBOX}.list", "rc inbox"),
    Row("answer a request", "InboxService.AnswerRequest", f"{INBOX}.answer", "rc approve, rc deny"),
    Row(
        "open a terminal in the sandbox",
        "SessionService.OpenSession",
        "rc_agent.sessions.service.SessionService.OpenSession",
        "rc shell",
    ),
    Row(
        "watch and use a session",
        "SessionService.AttachSession",
        "rc_daemon.sessions.attach.Attachments.attach",
        "rc attach",
    ),
    Row("list and find files", "FileService.ListFiles", f"{FILES}.ListFiles", "rc file ls, rc file find"),
    Row("print a file", "FileService.ReadFile", f"{FILES}.ReadFile", "rc file cat"),
    Row("write a file", "FileService.WriteFile", f"{FILES}.WriteFile", "rc file write"),
    Row("watch files", "FileService.WatchFiles", f"{FILES}.WatchFiles", "rc file watch"),
    Row("bring ports to this machine", "ForwardService.ConnectForward", f"{FORWARDS}.ConnectForward", "rc forward"),
    Row(
        "list coding agents",
        "CodingAgentService.ListCodingAgents",
        "rc_daemon.coding.catalog.Catalog.list",
        "rc agent ls, rc agent show",
    ),
    Row(
        "install a coding agent",
        "CodingAgentService.InstallCodingAgent",
        "rc_daemon.coding.install.install",
        "rc agent install",
    ),
    Row("list sandboxes", "SandboxService.ListSandboxes", f"{SANDBOXES}.list", "rc sandbox ls"),
    Row("see one sandbox", "SandboxService.GetSandbox", f"{SANDBOXES}.get", "rc sandbox show"),
    Row("bring back a sandbox without a task", "SandboxService.StartSandbox", f"{SANDBOXES}.start", "rc sandbox start"),
    Row("end the processes of one", "SandboxService.StopSandbox", f"{SANDBOXES}.stop", "rc sandbox stop"),
    Row("remove one, its workspace saved", "SandboxService.RemoveSandbox", f"{SANDBOXES}.remove", "rc sandbox rm"),
    Row("take over a sandbox that was left", "SandboxService.AdoptSandbox", f"{SANDBOXES}.adopt", "rc sandbox adopt"),
    Row(
        "see what a sandbox uses",
        "HealthService.WatchStats",
        "rc_agent.health.HealthService.WatchStats",
        "rc sandbox stats",
    ),
    Row(
        "list providers",
        "SandboxService.ListProviders",
        "rc_providers.registry.names",
        "rc provider ls, rc provider show",
    ),
    Row(
        "see whether a provider keeps the contract",
        "SandboxService.VerifyProvider",
        "rc_daemon.tasks.verify.verify",
        "rc provider verify",
    ),
    Row("accept the key of a host", "SandboxService.AddProvider", "rc_providers.base.Provider.add", "rc provider add"),
    Row(
        "forget the key of a host",
        "SandboxService.RemoveProvider",
        "rc_providers.base.Provider.remove",
        "rc provider rm",
    ),
    Row("see how the daemon is", "DaemonService.GetStatus", "rc_daemon.status.Status.look", "rc daemon status"),
    Row("end the daemon", "DaemonService.StopDaemon", "rc_daemon.main.Daemon.close", "rc daemon stop"),
    Row("check this machine", "DaemonService.Diagnose", "rc_daemon.doctor.diagnose", "rc doctor"),
    Row("let go what retention lets go", "DaemonService.CollectGarbage", "rc_daemon.tasks.gc.collect", "rc gc"),
    Row(
        "see settings and their origin",
        "DaemonService.GetConfig",
        "rc_protos.config.load",
        "rc config show, rc config get",
    ),
    Row("write a setting", "DaemonService.SetConfig", "rc_protos.config.write", "rc config set"),
]

PLUMBING = [
    Plumbing("FileService.StatFile", f"{FILES}.StatFile", "rc cp"),
    Plumbing("FileService.RemoveFile", f"{FILES}.RemoveFile", "work in and out"),
    Plumbing("FileService.ArchiveFiles", f"{FILES}.ArchiveFiles", "rc cp -r; safe copies: the transcript"),
    Plumbing("FileService.ExtractFiles", f"{FILES}.ExtractFiles", "rc cp -r; recovery: the transcript"),
    Plumbing("ForwardService.ListenForward", f"{FORWARDS}.ListenForward", "ssh -R"),
    Plumbing("ForwardService.CarryForward", f"{FORWARDS}.CarryForward", "ssh -R"),
    Plumbing("ForwardService.WatchPorts", f"{FORWARDS}.WatchPorts", "rc forward --auto"),
    Plumbing("HealthService.Hello", "rc_agent.health.HealthService.Hello", "every link"),
    Plumbing("HealthService.Beat", "rc_agent.health.HealthService.Beat", "every link"),
    Plumbing(
        "HealthService.Shutdown", "rc_agent.health.HealthService.Shutdown", "replacing an agent of another version"
    ),
    Plumbing(
        "SessionService.ListSessions",
        "rc_agent.sessions.service.SessionService.ListSessions",
        "rc attach ID/SESSION, rc shell",
    ),
    Plumbing("SessionService.GetSession", "rc_agent.sessions.service.SessionService.GetSession", "rc attach"),
    Plumbing(
        "SessionService.WriteSession",
        "rc_agent.sessions.service.SessionService.WriteSession",
        "rc attach, rc shell, rc exec",
    ),
    Plumbing(
        "SessionService.ResizeSession", "rc_agent.sessions.service.SessionService.ResizeSession", "rc attach, rc shell"
    ),
    Plumbing("SessionService.SignalSession", "rc_agent.sessions.service.SessionService.SignalSession", "rc exec"),
    Plumbing(
        "SessionService.CloseSession",
        "rc_agent.sessions.service.SessionService.CloseSession",
        "rc stop, rc attach --native",
    ),
    Plumbing("SessionService.AckMirror", "rc_agent.sessions.service.SessionService.AckMirror", "the mirror"),
]

COMPOSED = [
    Composed("rc exec", "OpenSession, AttachSession, WriteSession"),
    Composed("rc ssh-config", "prints or writes a file for ssh"),
    Composed("rc ssh-proxy", "OpenSession, AttachSession, WriteSession, ConnectForward, ListenForward, CarryForward"),
    Composed("rc cp", "StatFile, ReadFile, WriteFile; -r: ListFiles, ArchiveFiles, ExtractFiles"),
    Composed("rc edit", "ReadFile, WriteFile"),
    Composed("rc logs", "ListEvents, WatchEvents"),
    Composed("rc demo", "CreateTask, WatchEvents, AnswerRequest, DiffTask"),
    Composed("rc daemon start", "starts the process; GetStatus"),
    Composed("rc daemon restart", "StopDaemon, then as start"),
    Composed("rc daemon logs", "reads the log file"),
    Composed("rc completion", "prints a shell's script; ListTasks completes ids"),
]


def methods() -> dict[str, str]:
    """Every RPC as `Service.Method`, with its permission."""
    from rc_protos.v1 import options_pb2

    found = {}
    for path in sorted((ROOT / "protos/rc_protos/v1").glob("*_pb2.py")):
        module = importlib.import_module(f"rc_protos.v1.{path.stem}")
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                permission = method.GetOptions().Extensions[options_pb2.permission]
                found[f"{service.name}.{method.name}"] = permission
    return found


def problems() -> list[str]:
    """What keeps the declarations from being true."""
    return [*rpc_problems(), *use_case_problems(), *command_problems()]


def rpc_problems() -> Iterator[str]:
    """Every RPC stands in exactly one row."""
    stands = Counter([row.rpc for row in ROWS] + [row.rpc for row in PLUMBING])
    for name in methods():
        if stands[name] != 1:
            yield f"{name} stands in {stands[name]} rows"
    for name in stands.keys() - methods().keys():
        yield f"there is no RPC {name}"


def use_case_problems() -> Iterator[str]:
    """Every use case exists."""
    for row in [*ROWS, *PLUMBING]:
        if row.use_case and not exists(row.use_case):
            yield f"{row.rpc}: there is no {row.use_case}"


def command_problems() -> Iterator[str]:
    """Every command stands in exactly one row; a row may name one of a command's flags."""
    named = [command for row in ROWS for command in row.command.split(", ")] + [row.command for row in COMPOSED]
    for command, count in Counter(named).items():
        if count > 1:
            yield f"{command} stands in {count} rows"
    plain = {command.split(" --")[0] for command in named}
    yield from (f"{name} stands in no row" for name in commands.names() if name not in plain)
    yield from (f"there is no command {name}" for name in sorted(plain - set(commands.names())))


def exists(dotted: str) -> bool:
    """Whether a dotted name leads to something importable."""
    words = dotted.split(".")
    for length in range(len(words), 0, -1):
        try:
            found: object = importlib.import_module(".".join(words[:length]))
        except ModuleNotFoundError:
            continue
        for word in words[length:]:
            found = getattr(found, word, None)
        return found is not None
    return False


def page() -> str:
    """docs/surface.md."""
    permission = methods()
    rows = [
        [row.what, f"`{row.rpc}`", permission[row.rpc], f"`{row.use_case}`", code(row.command), row.tui] for row in ROWS
    ]
    plumbing = [[f"`{row.rpc}`", permission[row.rpc], f"`{row.use_case}`", row.part_of] for row in PLUMBING]
    composed = [[code(row.command), row.made_of] for row in COMPOSED]
    return (
        f"{MADE}# The surface\n\n"
        "Every capability is one row: one RPC, one use case, one command (or one word for each answer it has), at\n"
        "most one place in the TUI. A second way to the same result is not merged.\n\n"
        + markdown(["capability", "RPC", "permission", "use case", "command", "TUI"], rows)
        + "\n## Plumbing\n\nRPCs that carry part of the capabilities above, or that no face calls.\n\n"
        + markdown(["RPC", "permission", "use case", "part of"], plumbing)
        + "\n## Commands without an RPC of their own\n\n"
        + markdown(["command", "made of"], composed)
    )


def code(commands_: str) -> str:
    """Each command of a comma-separated list as code."""
    return ", ".join(f"`{command}`" for command in commands_.split(", "))
