"""Where the agent keeps its files, and sockets there whatever the length of the path. Light imports only."""

from __future__ import annotations

import os
import sys

GRPC_SOCKET = "agent.sock"
HAND_SOCKET = "hand.sock"
LOCK_FILE = "agent.lock"
LOG_FILE = "agent.log"
EPOCH_FILE = "epoch.json"
SESSIONS = "sessions"
# struct sockaddr_un holds 108 bytes on Linux and 104 on macOS, the final zero included.
_LONGEST_SOCKET = 100


class NoHome(Exception):
    """No directory could be written."""


def state_directory() -> str:
    """The agent's own directory, made if need be: RC_STATE, or the first writable of the usual places."""
    given = os.environ.get("RC_STATE")
    places = [given] if given else _usual_places()
    for place in places:
        if _usable(place):
            return place
    raise NoHome(f"no directory can be written: {', '.join(places)}")


def home() -> str:
    """The user's home directory."""
    return os.path.expanduser("~")


def workspace() -> str:
    """Where relative paths start: RC_WORKSPACE, or the home directory."""
    return os.environ.get("RC_WORKSPACE") or home()


def bundle_root() -> str:
    """The directory the running code was imported from; the unpacked bundle inside a sandbox."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def bundle_digest() -> str:
    """The digest of the bundle that is run; empty when it is not one."""
    name = os.path.basename(bundle_root())
    return name if len(name) == 64 else ""


def import_roots() -> list[str]:
    """What a child interpreter needs on its path to run our code."""
    import rc_protos

    protos = os.path.dirname(os.path.dirname(os.path.abspath(rc_protos.__file__)))
    return list(dict.fromkeys([bundle_root(), protos]))


def interpreter(*flags: str) -> list[str]:
    """An argv prefix: this interpreter without site and environment, with our code on its path, then `-c`'s text."""
    return [sys.executable, *flags, "-c", f"import sys; sys.path[:0] = {import_roots()!r}; "]


def socket_address(directory: str, name: str) -> str:
    """A path that names a socket in a directory and is short enough for the kernel."""
    path = f"{directory}/{name}"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    # A descriptor leads to the directory; a handful of long ones is kept open, as long as the process lives.
    if directory not in _open_directories:
        _open_directories[directory] = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{_open_directories[directory]}/{name}"


_open_directories: dict[str, int] = {}


def _usual_places() -> list[str]:
    user = os.getuid()
    # Shared directories, where `_usable` looks at the owner.
    shared = [f"/dev/shm/rc-agent-{user}", f"/tmp/rc-agent-{user}"]  # noqa: S108
    return [os.path.expanduser("~/.rc-agent"), *shared]


def _usable(place: str) -> bool:
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        status = os.lstat(place)
    except OSError:
        return False
    # In a directory for everybody, another user may have been first.
    return status.st_uid == os.getuid() and os.access(place, os.W_OK | os.X_OK)
