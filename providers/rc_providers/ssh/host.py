"""One SSH host: its connections, kept as long as they live, and requests to what runs there. Blocks."""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import paramiko

from rc_protos import bundle, errors
from rc_protos.errors import RemoteClaudeError
from rc_protos.stream.boot import Boot, Failed, Program, Ready, Send
from rc_providers.ssh import connect, settings
from rc_providers.ssh.connect import Connection

log = logging.getLogger("rc.ssh")

OPEN_SECONDS = 15.0
CONNECTIONS_MOST = 20
CLOSE_SECONDS = 1.0
ANSWER_SECONDS = 60.0
ANSWER_MOST = 16 << 20
# What runs there, without what only this side needs.
PACKAGES = {
    "rc_protos": ("v1/", "bundle.py", "convert.py", "config.py", "paths.py"),
    "rc_providers": (
        "docker/",
        "fake.py",
        "registry.py",
        *(f"ssh/{each}.py" for each in ("connect", "faults", "host", "provider", "pump", "settings")),
    ),
}
# The directory in a home is rc's own on that host too.
HOME = "~/.local/share/remote-claude/rc-far"


class Host:
    """Every method blocks and may be called from any thread."""

    def __init__(self, target: str, known_hosts: Path) -> None:
        self.target = target
        self._known_hosts = known_hosts
        self._lock = threading.Lock()
        # More than one only where a server limits the sessions of each.
        self._connections: list[Connection] = []
        self._failed: tuple[float, RemoteClaudeError] | None = None

    def ask(self, **request: Any) -> Any:
        """What the other side answers; raises its error, or unavailable."""
        with self._asked(request) as (channel, data):
            channel.close()
            return data[0]

    def open(self, **request: Any) -> tuple[paramiko.Channel, bytes]:
        """The same for a request whose channel goes on: it, and what came after the answer."""
        with self._asked(request) as (channel, data):
            return channel, data[1]

    def accept(self, fingerprint: str) -> None:
        """Have the host's key known from now on, if it is this one."""
        connect.accept(self.target, self._known_hosts, fingerprint)

    def forget(self) -> None:
        """Keys that were accepted here are unknown again."""
        name = settings.read(self.target).key_name
        if self._known_hosts.exists():
            lines = self._known_hosts.read_text().splitlines(keepends=True)
            self._known_hosts.write_text("".join(line for line in lines if line.split(" ", 1)[0] != name))
        self.close()

    def close(self) -> None:
        """End every connection; one that is being made is left to its thread."""
        if self._lock.acquire(timeout=CLOSE_SECONDS):
            with ExitStack() as stack:
                stack.callback(self._lock.release)
                for connection in self._connections:
                    connection.close()
                self._connections.clear()

    @contextmanager
    def _asked(self, request: dict[str, Any]) -> Iterator[tuple[paramiko.Channel, tuple[Any, bytes]]]:
        # A ! is history to csh, even between quotes.
        program = Program("rc_providers.ssh.far", HOME, (json.dumps(request).replace("!", "\\u0021"),))
        data = packed()
        boot = Boot(hashlib.sha256(data).hexdigest(), len(data), packed, secrets.token_hex(6), program=program)
        channel = self._channel()
        try:
            channel.settimeout(ANSWER_SECONDS)
            # What a shell or Python complains of is part of the story; once our program runs it is silent.
            channel.set_combine_stderr(True)
            channel.exec_command(f"exec {shlex.join(_in_any_shell(boot.argv))}")
            yield channel, self._answer(channel, self._ready(channel, boot))
        except (paramiko.SSHException, OSError, EOFError) as error:
            channel.close()
            raise errors.unavailable(f"{self.target} was lost: {str(error) or type(error).__name__}") from error
        except BaseException:
            channel.close()
            raise

    def _ready(self, channel: paramiko.Channel, boot: Boot) -> bytes:
        while True:
            data = channel.recv(1 << 16)
            for action in boot.feed(data) if data else boot.eof():
                if isinstance(action, Send):
                    channel.sendall(action.data)
                elif isinstance(action, Failed):
                    # Unless it was only a cut.
                    raise (errors.precondition if _alive(channel) else errors.unavailable)(
                        f"{self.target} cannot run rc's part: {action.reason}",
                        "it needs python3 3.11 or newer, for users that log in by SSH",
                    )
                elif isinstance(action, Ready):
                    return action.rest

    def _answer(self, channel: paramiko.Channel, data: bytes) -> tuple[Any, bytes]:
        while b"\n" not in data:
            more = channel.recv(1 << 16)
            if not more or len(data) > ANSWER_MOST:
                raise errors.unavailable(f"{self.target} hung up before it answered")
            data += more
        line, _, rest = data.partition(b"\n")
        answer = json.loads(line)
        if "code" in answer:
            message = f"{answer['message']} (on {self.target})"
            raise errors.from_wire(answer["code"], message, answer["hint"])
        return answer["ok"], rest

    def _channel(self) -> paramiko.Channel:
        """A session on a living connection; makes one where there is none, or where all are full."""
        full: list[Connection] = []
        while len(full) < CONNECTIONS_MOST:
            connection = self._connection(full)
            try:
                return connection.transport.open_session(timeout=OPEN_SECONDS)
            except (paramiko.SSHException, OSError, EOFError) as error:
                if connection.transport.is_active():
                    # sshd's MaxSessions; of refusals at the same time, paramiko says so to one thread only.
                    full.append(connection)
                    continue
                log.info("%s: a connection is lost: %s", self.target, error)
                self._drop(connection)
        raise errors.exhausted(f"{self.target} takes no more sessions on {len(full)} connections")

    def _connection(self, full: Sequence[Connection]) -> Connection:
        began = time.monotonic()
        with self._lock:
            for connection in self._connections:
                if connection not in full:
                    return connection
            if self._failed is not None and self._failed[0] > began:
                # Somebody tried while we waited: a host that does not answer costs everybody the same time once.
                raise self._failed[1]
            try:
                made = connect.connect(self.target, self._known_hosts)
            except RemoteClaudeError as error:
                self._failed = time.monotonic(), error
                raise
            self._connections.append(made)
            return made

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            if connection in self._connections:
                self._connections.remove(connection)
        connection.close()


def _in_any_shell(argv: list[str]) -> list[str]:
    """The same without line ends: csh and its like take none between quotes."""
    return [f"exec(bytes.fromhex('{word.encode().hex()}'))" if "\n" in word else word for word in argv]


def _alive(channel: paramiko.Channel) -> bool:
    return channel.get_transport().is_active()


@cache
def packed() -> bytes:
    """The bundle of what runs there."""
    return bundle.pack(PACKAGES)
