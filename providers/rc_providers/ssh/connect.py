"""Making one SSH connection: the way to the host, its key, the user's keys. Blocks."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.agent import AgentSSH
from paramiko.auth_strategy import AuthStrategy, InMemoryPrivateKey

from rc_protos import errors
from rc_providers.ssh import faults, settings
from rc_providers.ssh.settings import Settings

# What goes wrong is told by our errors.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

CONNECT_SECONDS = 10.0
ALIVE_SECONDS = 5
# A connection on which nothing is acknowledged for this long is cut by the kernel.
DEAD_MILLISECONDS = 15_000
JUMPS_MOST = 8


@dataclass(frozen=True, eq=False)
class Connection:
    """One connection, and what it goes through: other connections, a command."""

    transport: paramiko.Transport
    _all: ExitStack

    def close(self) -> None:
        """End it, and what it goes through."""
        self._all.close()


def connect(target: str, own_known_hosts: Path, jumps: tuple[str, ...] = (), depth: int = 0) -> Connection:
    """A connection whose host key is known and which the user's keys have opened.

    `jumps`: through these, instead of what the configuration says. Raises usage, precondition (the host key, the
    configuration), unauthenticated or unavailable.
    """
    to = settings.read(target)
    with ExitStack() as stack:
        with faults.mapped(to):
            way = _way(to, own_known_hosts, jumps, depth, stack)
            client = stack.enter_context(contextlib.closing(paramiko.SSHClient()))
            for file in _existing(to, own_known_hosts):
                client.load_system_host_keys(str(file))
            client.set_missing_host_key_policy(_Refuse(to))
            # By its key's name: the way there is ours.
            client.connect(
                to.key_name,
                sock=way,
                timeout=CONNECT_SECONDS,
                banner_timeout=CONNECT_SECONDS,
                auth_timeout=CONNECT_SECONDS,
                channel_timeout=CONNECT_SECONDS,
                auth_strategy=_Keys(to),
            )
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(ALIVE_SECONDS)
        return Connection(transport, stack.pop_all())


def accept(target: str, own_known_hosts: Path, fingerprint: str) -> None:
    """Have the host's key known from now on; raises conflict unless it is the one with this fingerprint."""
    to = settings.read(target)
    with ExitStack() as stack, faults.mapped(to):
        way = _way(to, own_known_hosts, (), 0, stack)
        transport = stack.enter_context(contextlib.closing(paramiko.Transport(way)))
        transport.banner_timeout = CONNECT_SECONDS
        transport.start_client(timeout=CONNECT_SECONDS)
        key = transport.get_remote_server_key()
    if key.fingerprint != fingerprint:
        raise errors.conflict(f"the key of {target} is {key.fingerprint}, not {fingerprint}", "nothing was changed")
    known = paramiko.HostKeys()
    for file in _existing(to, own_known_hosts):
        known.load(str(file))
    if known.check(to.key_name, key):
        return
    if known.lookup(to.key_name) is not None:
        raise faults.changed(to)
    own_known_hosts.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with own_known_hosts.open("a") as out:
        out.write(f"{to.key_name} {key.get_name()} {key.get_base64()}\n")


def _way(to: Settings, own_known_hosts: Path, jumps: tuple[str, ...], depth: int, stack: ExitStack) -> Any:
    """A socket, or what behaves like one, on which the host speaks SSH; `stack` closes it."""
    if depth > JUMPS_MOST:
        raise errors.precondition(f"{to.target} is reached through more than {JUMPS_MOST} other hosts, or itself")
    hops = jumps or to.proxy_jump
    if hops:
        under = connect(hops[-1].removeprefix("ssh://"), own_known_hosts, hops[:-1], depth + 1)
        stack.callback(under.close)
        place = (to.host_name, to.port)
        return under.transport.open_channel("direct-tcpip", place, ("127.0.0.1", 0), timeout=CONNECT_SECONDS)
    if to.proxy_command:
        return _through_command(to.proxy_command, stack)
    way = stack.enter_context(socket.create_connection((to.host_name, to.port), CONNECT_SECONDS))
    way.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        way.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_MILLISECONDS)
    return way


def _through_command(command: str, stack: ExitStack) -> socket.socket:
    ours, theirs = socket.socketpair()
    stack.enter_context(ours)
    with theirs:
        words = ["/bin/sh", "-c", f"exec {command}"]
        process = subprocess.Popen(words, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL)
    # Closed in the opposite order: killed, then waited for.
    stack.callback(process.wait)
    stack.callback(process.kill)
    return ours


def _existing(to: Settings, own_known_hosts: Path) -> list[Path]:
    return [file for file in (*to.known_hosts, own_known_hosts) if file.is_file()]


class _Refuse(paramiko.MissingHostKeyPolicy):
    """An unknown key is for the person to accept."""

    def __init__(self, to: Settings) -> None:
        self._to = to

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise faults.unknown(self._to, key)


class _Keys(AuthStrategy):
    """What the agent holds of the configured keys, those keys' files, then whatever else the agent holds."""

    def __init__(self, to: Settings) -> None:
        super().__init__(ssh_config=paramiko.SSHConfig())
        self._to = to

    def get_sources(self) -> Iterator[InMemoryPrivateKey]:
        """In the order in which they are tried: servers end a connection after a few."""
        named = {_public(file) for file in self._to.identity_files}
        with _agent(self._to.agent) as held:
            keys: list[paramiko.PKey] = [key for key in held if key.asbytes() in named]
            keys += filter(None, map(_load, self._to.identity_files))
            if not self._to.identities_only:
                keys += [key for key in held if key.asbytes() not in named]
            for key in keys:
                yield InMemoryPrivateKey(self._to.user, key)


@contextlib.contextmanager
def _agent(path: str) -> Iterator[tuple[paramiko.AgentKey, ...]]:
    """The keys that an agent holds, while it is connected."""
    with socket.socket(socket.AF_UNIX) as connection:
        agent = AgentSSH()
        with contextlib.suppress(OSError, paramiko.SSHException):
            connection.settimeout(CONNECT_SECONDS)
            connection.connect(path)
            # Its own subclass can only reach the agent of the environment, and cannot say where it stops.
            agent._connect(connection)  # type: ignore[attr-defined]
        yield agent.get_keys()


def _load(file: Path) -> paramiko.PKey | None:
    # Not there, of a kind that is not known, or with a passphrase: then it is the agent's to hold.
    with contextlib.suppress(Exception):
        return paramiko.PKey.from_path(file)
    return None


def _public(file: Path) -> bytes:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return bytes(paramiko.pkey.PublicBlob.from_file(f"{file}.pub").key_blob)
    return b""
