"""What can go wrong on the way to a host, as errors of ours: one table, at this edge only."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import paramiko

from rc_protos import errors
from rc_protos.errors import RemoteClaudeError
from rc_providers.ssh.settings import Settings


@contextmanager
def mapped(to: Settings) -> Iterator[None]:
    """Translate what paramiko and the system raise inside the block."""
    try:
        yield
    except Exception as error:
        for kinds, translate in _TABLE:
            if isinstance(error, kinds):
                raise translate(to, error) from error
        raise


def unknown(to: Settings, key: paramiko.PKey) -> RemoteClaudeError:
    """The host's key was never accepted."""
    return errors.precondition(
        f"the key of {to.target} is not known: {key.get_name()} {key.fingerprint}",
        f"compare it with what the host says of itself, then: "
        f"rc provider add ssh:{to.target} --accept-key {key.fingerprint}",
    )


def changed(to: Settings, error: Exception | None = None) -> RemoteClaudeError:
    """Another key than the one that was accepted."""
    shown = (
        f" ({error.key.get_name()} {error.key.fingerprint})" if isinstance(error, paramiko.BadHostKeyException) else ""
    )
    files = ", ".join(str(file) for file in to.known_hosts if file.exists())
    return errors.precondition(
        f"the key of {to.target} has changed{shown}: somebody may be listening, or the host was set up anew",
        f"nothing was sent. If you know why it has changed, remove the line of {to.key_name} from "
        f"{files or 'known_hosts'}, or run: rc provider rm ssh:{to.target}",
    )


def _refused(to: Settings, error: Exception) -> RemoteClaudeError:
    return errors.unauthenticated(
        f"{to.target} accepts none of your keys for {to.user}",
        f"does this work: ssh {to.target} true? A key with a passphrase must be in the agent: ssh-add",
    )


def _nameless(to: Settings, error: Exception) -> RemoteClaudeError:
    return errors.unavailable(f"there is no host {to.host_name}: {error}", "see: ssh -G " + to.target)


def _strange(to: Settings, error: Exception) -> RemoteClaudeError:
    return errors.unsupported(f"{to.target} speaks no SSH that rc speaks: {error}")


def _unreachable(to: Settings, error: Exception) -> RemoteClaudeError:
    reason = str(error) or type(error).__name__
    return errors.unavailable(f"{to.target} ({to.host_name}:{to.port}) cannot be reached: {reason}")


_TABLE: tuple[tuple[tuple[type[Exception], ...], Callable[[Settings, Exception], RemoteClaudeError]], ...] = (
    ((paramiko.BadHostKeyException,), changed),
    ((paramiko.AuthenticationException,), _refused),
    ((socket.gaierror,), _nameless),
    ((paramiko.ssh_exception.IncompatiblePeer,), _strange),
    ((paramiko.SSHException, EOFError, OSError), _unreachable),
)
