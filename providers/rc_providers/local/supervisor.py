"""The first process of a local sandbox: starts what it is asked to on its socket.

Standard library only, and alone: it is run by path inside the sandbox, as pid 1 under bubblewrap. It outlives the
daemon, and waits in accept(2) for nearly all of its life. The modules below `socket`, `signal` and `json` spare it
half of its start.

A request is a length, the argv joined by zero bytes and, beside it, one descriptor: the command's stdin and stdout.
The answer is one line, empty when the command runs.
"""

import _signal  # type: ignore[import-not-found]
import _socket
import os
import sys
import time

LOG_MOST = 1 << 20
REQUEST_MOST = 1 << 20
REQUEST_SECONDS = 10.0
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_RESTRICT_SELF = 446
LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1
KEYCTL_JOIN_SESSION_KEYRING = 1
# keyctl(2), whose number differs by machine.
KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "armv7l": 311, "ppc64le": 271, "s390x": 280}
IGNORED = (_signal.SIGCHLD, _signal.SIGHUP, _signal.SIGINT, _signal.SIGTERM)
DEFAULT_INSIDE = (*IGNORED, _signal.SIGPIPE, _signal.SIGXFSZ)


def main() -> None:
    """Serve until the sandbox ends."""
    state, launcher, isolated = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "isolated"
    # Children that nobody waits for, orphans among them, vanish by themselves where SIGCHLD is ignored.
    for number in IGNORED:
        _signal.signal(number, _signal.SIG_IGN)
    within_reach = confine(isolated)
    listener = listen(state)
    os.write(launcher, b"abstract sockets\n" if within_reach else b"\n")
    if not os.read(launcher, 1):
        # Whoever started us ended before it had written down who we are: nobody would ever end us.
        return
    os.close(launcher)
    while True:
        serve(listener, state)


def confine(isolated: bool) -> bool:
    """Leave the user's keyring, close the host's abstract sockets (Landlock, Linux 6.12).

    Says whether those are still within reach.
    """
    if sys.platform != "linux":
        return True
    import ctypes

    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if not isolated:
        return True
    number = KEYCTL.get(os.uname().machine)
    if number is not None:
        # Kernel keys are inherited like a working directory; a namespace does not hold them back.
        libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped (linux/landlock.h, ABI 6).
    rules = bytes(16) + LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET.to_bytes(8, sys.byteorder)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    ruleset = libc.syscall(LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return True
    failed = libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return bool(failed)


def listen(state: str) -> _socket.socket:
    """The socket on which commands are asked for."""
    path = "supervisor.sock"
    os.chdir(state)
    if os.path.lexists(path):
        os.unlink(path)
    listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(64)
    os.chdir("/")
    return listener


def serve(listener: _socket.socket, state: str) -> None:
    """Answer one request."""
    try:
        descriptor, _ = listener._accept()  # type: ignore[attr-defined]
    except OSError:
        # No memory or no descriptor for a moment: our end would be the sandbox's.
        time.sleep(0.1)
        return
    connection = _socket.socket(fileno=descriptor)
    streams: list[int] = []
    try:
        connection.settimeout(REQUEST_SECONDS)
        refuse_strangers(connection)
        argv = receive(connection, streams)
        start(argv, streams[0], os.path.join(state, "sandbox.log"))
        answer = ""
    except Exception as error:
        answer = f"{type(error).__name__}: {error}".replace("\n", " ")
    for stream in streams:
        os.close(stream)
    try:  # noqa: SIM105 - every import delays every sandbox
        connection.sendall(answer.encode(errors="replace") + b"\n")
    except OSError:
        pass
    connection.close()


def refuse_strangers(connection: _socket.socket) -> None:
    """The socket's mode keeps other users away; root of the host, or of another sandbox, must be told."""
    if sys.platform == "linux":
        _, user, _ = memoryview(connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)).cast("i")
        if user != os.geteuid():
            raise PermissionError("another user's request")


def receive(connection: _socket.socket, streams: list[int]) -> list[bytes]:
    """The command; the descriptors beside it are added to `streams`."""
    data, beside, _, _ = connection.recvmsg(65536, _socket.CMSG_LEN(16))
    for level, kind, content in beside:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
            streams += memoryview(content).cast("i").tolist()
    for stream in streams:
        os.set_inheritable(stream, False)
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        if len(data) > REQUEST_MOST:
            raise ValueError("the command is too long")
        more = connection.recv(65536)
        if not more:
            raise ValueError("the request was cut")
        data += more
    if not streams:
        raise ValueError("the request came without a descriptor")
    return data[4:].split(b"\0")


def start(argv: list[bytes], stream: int, log: str) -> None:
    """Run a command on a stream, in a session of its own."""
    if os.path.exists(log) and os.path.getsize(log) > LOG_MOST:
        os.replace(log, log + ".old")
    actions = [
        (os.POSIX_SPAWN_DUP2, stream, 0),
        (os.POSIX_SPAWN_DUP2, stream, 1),
        (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
    ]
    os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsid=True, setsigdef=DEFAULT_INSIDE)


if __name__ == "__main__":
    main()
