"""What runs on an SSH host: one request of rc's daemon, answered by the provider `local` of that host.

The request is a word of the command line, the answer a line on stdout; after the answer to `open`, stdin and stdout
are the command's. Light imports only: what only some requests need is imported there.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket

from rc_protos.stream.boot import ready_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from rc_providers.base import SandboxInfo
    from rc_providers.local import LocalProvider

# Of the processes of the user, where nothing but the user's own limits holds a sandbox.
PROCESSES = 4096
COPY = 1 << 17


def main(words: list[str]) -> None:
    """Answer one request; `words`: connect, nonce, wire, request."""
    write(ready_line(words[1]))
    # From here on stdout is ours alone; whatever a library or a shell complains of would damage the stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    request = json.loads(words[3])
    home = os.environ["RC_STATE"]
    # Shared by everyone who works here; whoever finds nobody and nothing left removes it all.
    lock = os.open(home, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    stream = answer(request, home, lock)
    os.close(lock)
    if stream is not None:
        pump(stream)


def answer(request: dict[str, Any], home: str, lock: int) -> socket.socket | None:
    """Do what is asked and say what came of it; for `open`, our end of the command's stream."""
    from rc_protos.errors import RemoteClaudeError

    stream = None
    try:
        if request["do"] == "open":
            stream = open_stream(home, request["id"], [os.fsencode(word) for word in request["argv"]])
            said: dict[str, Any] = {"ok": None}
        else:
            import asyncio

            said = {"ok": asyncio.run(handle(request, home))}
    except RemoteClaudeError as error:
        said = {"code": error.code, "message": error.message, "hint": error.hint}
    except Exception as error:
        said = {"code": "unavailable", "message": f"{type(error).__name__}: {error}", "hint": ""}
    # What asks before the first sandbox leaves the bundle for it.
    if stream is None and request["do"] not in ("check", "create"):
        remove_when_empty(home, lock)
    write(json.dumps(said).encode() + b"\n")
    return stream


async def handle(request: dict[str, Any], home: str) -> Any:
    """Everything but `open`."""
    from pathlib import Path

    from rc_providers.local import LocalProvider

    provider = LocalProvider(Path(home) / "sandboxes")
    if request["do"] == "check":
        return {"isolation": await check(provider, request["isolation"]), "notices": of_place()}
    if request["do"] == "create":
        return await create(provider, request)
    if request["do"] == "list":
        return [shown(info) for info in await provider.list(request["installation"])]
    sandbox = await provider.attach(request["id"])
    if request["do"] == "info":
        return shown(await sandbox.info())
    limit_unless_isolated((await sandbox.info()).isolation)
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "start": sandbox.start,
        "stop": sandbox.stop,
        "destroy": sandbox.destroy,
        "logs": sandbox.logs,
    }
    return await calls[request["do"]]()


async def check(provider: LocalProvider, isolation: str) -> str:
    """The isolation that a sandbox gets here; raises precondition where the one asked for cannot be had."""
    from rc_protos.errors import RemoteClaudeError
    from rc_protos.model import Isolation
    from rc_providers.local.provider import default_isolation

    try:
        await provider.check(isolation)
    except RemoteClaudeError:
        if isolation:
            raise
        return Isolation.NONE
    return isolation or default_isolation()


async def create(provider: LocalProvider, request: dict[str, Any]) -> dict[str, Any]:
    """A sandbox in bubblewrap where that works, else in a directory of its own and with limits."""
    from rc_providers.base import SandboxSpec

    isolation = await check(provider, request["isolation"])
    limit_unless_isolated(isolation)
    made = await provider.create(SandboxSpec(request["tag"], request["installation"], isolation))
    return shown(await made.info())


def shown(info: SandboxInfo) -> dict[str, Any]:
    """As JSON, with what does not hold on this host."""
    from dataclasses import asdict

    return {**asdict(info), "notices": [*info.notices, *of_place()]}


def of_place() -> list[str]:
    """What a person should know of where sandboxes lie here."""
    place = os.environ["RC_STATE"]
    if place.startswith(os.path.expanduser("~")):
        return []
    return [f"its files are in {place}: the home directory cannot be written"]


def limit_unless_isolated(isolation: str) -> None:
    """What we start inherits it: no bubblewrap holds a sandbox together, so at least it cannot fill the host."""
    if isolation == "bubblewrap":
        return
    import resource

    for kind, most in ((resource.RLIMIT_NPROC, PROCESSES), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))


def open_stream(home: str, sandbox: str, argv: list[bytes]) -> socket.socket:
    """Our end of the stdin and stdout of a command in a sandbox."""
    from pathlib import Path

    from rc_providers.local import ask

    ours, theirs = socket.socketpair()
    try:
        ask.start(Path(home) / "sandboxes" / sandbox / "state" / ask.SOCKET, sandbox, argv, theirs)
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return ours


def pump(stream: socket.socket) -> None:
    """Copy both ways until the command has ended or rc has gone."""
    import threading

    threading.Thread(target=copy_in, args=(stream,), daemon=True).start()
    try:
        while data := stream.recv(COPY):
            write(data)
    except OSError:
        # There is nobody left to tell.
        return


def copy_in(stream: socket.socket) -> None:
    """From rc to the command; tells the end of the input from the end of the connection."""
    import select

    try:
        while data := os.read(0, COPY):
            stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    hung_up = select.poll()
    hung_up.register(1, 0)
    hung_up.poll()
    os._exit(0)


def remove_when_empty(home: str, lock: int) -> None:
    """The last sandbox takes everything along that rc has brought here."""
    import shutil

    sandboxes = os.path.join(home, "sandboxes")
    try:
        if os.path.isdir(sandboxes) and os.listdir(sandboxes):
            return
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(home)
        user, place = os.path.expanduser("~"), os.path.dirname(home)
        while place.startswith(user + os.sep):
            os.rmdir(place)
            place = os.path.dirname(place)
    except OSError:
        # Somebody works here, or keeps something else beside it.
        return


def write(data: bytes) -> None:
    """All of it to stdout."""
    while data:
        data = data[os.write(1, data) :]
