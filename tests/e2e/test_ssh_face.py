"""Stock OpenSSH into a sandbox that has no sshd: commands, terminals, files, ports, git and rsync."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shlex
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.daemon import DaemonProcess
from support.person import DEADLINE, Person, Screen

pytestmark = [pytest.mark.needs("bwrap", "git", "ssh"), pytest.mark.xdist_group("ssh_face")]
BIG = 20 << 20


class Client:
    """OpenSSH's programs with the configuration that `rc ssh-config --install` has made."""

    def __init__(self, me: Person, home: Path) -> None:
        self.me, self.home = me, home
        self.config = home / ".ssh" / "config"
        me.environment["HOME"] = str(home)

    def ssh(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return self.run("ssh", "-F", str(self.config), *words, stdin=stdin)

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            words,
            input=stdin,
            cwd=self.home,
            env=self.me.environment,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )

    def ok(self, *words: str, stdin: bytes = b"") -> bytes:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == 0, done
        return done.stdout

    def start(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["ssh", "-F", str(self.config), *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.me.environment,
        )

    def screen(self, *words: str, columns: int, rows: int) -> Screen:
        return Screen(
            ["/usr/bin/env", "ssh", "-F", str(self.config), *words], self.home, self.me.environment, columns, rows
        )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One task, `t`, for all of these tests."""
    daemon = DaemonProcess(Path(tempfile.mkdtemp(prefix="rcd", dir="/tmp")))
    daemon.start()
    made = Client(Person(daemon, daemon.repository()), tmp_path_factory.mktemp("home"))
    made.me.ok("ssh-config", "--install")
    made.me.task("t", "write work.txt hello")
    yield made
    asyncio.run(daemon.clean())


# commands


def test_a_command_has_its_streams_and_its_exit_code(client: Client) -> None:
    done = client.ssh("rc-t", "cat; echo oops >&2; pwd; exit 7", stdin=b"in\n")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"in\n/workspace\n", b"oops\n")


def test_a_signal_is_told(client: Client) -> None:
    # ssh itself says 255 for it, and with -v what it was.
    done = client.ssh("-v", "rc-t", "kill -TERM $$")
    assert done.returncode == 255
    assert b"exit-signal" in done.stderr


def test_bytes_pass_as_they_are(client: Client) -> None:
    data = random.Random(1).randbytes(3 << 20) + bytes(range(256)) * 64
    assert client.ssh("rc-t", "cat", stdin=data).stdout == data
    assert client.ssh("rc-t", "cat; sleep 0.2; wc -c </dev/null", stdin=b"").stdout.strip() == b"0"


def test_quotes_and_environment(client: Client) -> None:
    done = client.ssh("-o", "SetEnv=LANG=C.UTF-8", "rc-t", """printf '%s|' "a  b" 'é' "$LANG"; echo $0""")
    assert done.stdout.decode() == "a  b|é|C.UTF-8|" + done.stdout.decode().rpartition("|")[2]


def test_no_such_task(client: Client) -> None:
    done = client.ssh("rc-nobody", "true")
    assert done.returncode == 255
    assert b"nobody" in done.stderr


def test_a_command_ends_with_its_connection(client: Client) -> None:
    process = client.start("rc-t", "echo up; exec sleep 4321")
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.terminate()
    process.communicate(timeout=DEADLINE)
    deadline = time.monotonic() + DEADLINE
    while b"sleep 4321" in client.ssh("rc-t", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").stdout.replace(b"[0-9]", b""):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_what_a_command_leaves_in_the_background_lives_on(client: Client) -> None:
    pid = client.ssh("rc-t", "nohup sleep 600 >/dev/null 2>&1 & echo $!").stdout.decode().strip()
    assert client.ssh("rc-t", f"kill {pid}").returncode == 0


def test_channels_share_a_connection(client: Client) -> None:
    shared = ["-o", f"ControlPath={client.home}/shared", "rc-t"]
    assert client.ssh("-o", "ControlMaster=yes", "-o", "ControlPersist=60", *shared, "echo first").stdout == b"first\n"
    processes = [client.start(*shared, f"sleep 0.{n}; exit {n}") for n in range(4)]
    assert [each.wait(timeout=DEADLINE) for each in processes] == [0, 1, 2, 3]
    end(*processes)
    client.ssh("-O", "exit", *shared)


# terminals


def test_a_terminal_has_its_size_and_its_type(client: Client) -> None:
    with client.screen("-tt", "rc-t", "stty size; echo $TERM; tty; read x; stty size", columns=97, rows=31) as screen:
        screen.see("31 97").see("xterm-256color").see("/dev/pts")
        screen.resize(60, 20)
        # It goes through ssh, the daemon and the sandbox.
        time.sleep(1)
        screen.type("\n")
        screen.see("20 60")
        assert screen.end() == 0


def test_a_login_shell(client: Client) -> None:
    with client.screen("rc-t", columns=80, rows=24) as screen:
        screen.type("echo $((40 + 2))x\n")
        screen.see("42x")
        screen.type("exit 5\n")
        assert screen.end() == 5


# files


def test_sftp_both_ways(client: Client) -> None:
    data = random.Random(2).randbytes(BIG)
    (client.home / "up").write_bytes(data)
    batch = (
        b"mkdir d\nput -p up d/up\nget -p d/up down\nchmod 640 d/up\nrename d/up d/new\nsymlink new d/link\nls -l d\n"
    )
    listed = client.ok("sftp", "-F", str(client.config), "-b", "-", "rc-t", stdin=batch)
    assert b"-rw-r-----" in listed
    assert sha256((client.home / "down").read_bytes()) == sha256(data)
    assert (client.home / "down").stat().st_mtime == int((client.home / "up").stat().st_mtime)
    assert client.ssh("rc-t", "sha256sum < d/new; readlink d/link").stdout.split() == [
        sha256(data).encode(),
        b"-",
        b"new",
    ]
    failed = client.run("sftp", "-F", str(client.config), "-b", "-", "rc-t", stdin=b"rm nothing\n")
    assert failed.returncode == 1
    assert b"No such file" in failed.stderr
    client.ok("sftp", "-F", str(client.config), "-b", "-", "rc-t", stdin=b"rm d/new\nrm d/link\nrmdir d\n")
    assert client.ssh("rc-t", "test -e d").returncode == 1


@pytest.mark.parametrize("way", ["sftp", "old"])
def test_scp_of_a_folder(client: Client, way: str) -> None:
    flags = ["-O"] if way == "old" else []
    folder = client.home / f"tree-{way}"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    (folder / "empty").mkdir()
    client.ok("scp", *flags, "-qrp", "-F", str(client.config), str(folder), "rc-t:")
    client.ok("scp", *flags, "-qrp", "-F", str(client.config), f"rc-t:{folder.name}", f"back-{way}")
    assert tree(client.home / f"back-{way}") == tree(folder)
    client.ssh("rc-t", f"rm -r {folder.name}")


@pytest.mark.needs("rsync")
def test_rsync(client: Client) -> None:
    folder = client.home / "synced"
    folder.mkdir()
    for number in range(50):
        (folder / f"{number}.txt").write_text(f"{number}\n" * number)
    remote = ["-a", "--delete", "-e", f"ssh -F {client.config}"]
    client.ok("rsync", *remote, f"{folder}/", "rc-t:synced/")
    client.ssh("rc-t", "rm synced/1.txt; echo more >> synced/2.txt")
    client.ok("rsync", *remote, "rc-t:synced/", f"{folder}/")
    assert not (folder / "1.txt").exists()
    assert (folder / "2.txt").read_text() == "2\n2\nmore\n"
    client.ssh("rc-t", "rm -r synced")


def test_git_clone_and_push(client: Client) -> None:
    client.me.environment["GIT_SSH_COMMAND"] = f"ssh -F {client.config}"
    client.ok("git", "clone", "-q", "rc-t:/workspace", "cloned")
    assert (client.home / "cloned" / "README.md").read_text() == "hello\n"
    client.ok("git", "-C", "cloned", "push", "-q", "origin", "HEAD:refs/heads/pushed")
    there = client.ssh("rc-t", "git rev-parse pushed").stdout
    assert there == client.ok("git", "-C", "cloned", "rev-parse", "HEAD")


# ports


UPPER = """
import socket
{listen}
while True:
    connection, _ = server.accept()
    connection.sendall(connection.makefile().readline().upper().encode())
    connection.close()
"""
ON_PORT = 'server = socket.create_server(("127.0.0.1", 0)); print(server.getsockname()[1], flush=True)'
ON_SOCKET = (
    'server = socket.socket(socket.AF_UNIX); server.bind("/tmp/our.sock"); server.listen(); print(1, flush=True)'
)


def test_a_local_forward(client: Client) -> None:
    server, there = start_server(client, ON_PORT)
    here = free_port()
    tunnel = client.start("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{here}:127.0.0.1:{there}", "rc-t")
    try:
        assert [ask(here, f"{n} a\n") for n in range(3)] == [f"{n} A\n" for n in range(3)]
        refused = client.ssh("-W", "127.0.0.1:1", "rc-t")
        assert refused.returncode != 0
        assert b"open failed" in refused.stderr
    finally:
        end(tunnel, server)


def test_a_remote_forward(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        threading.Thread(target=serve, args=(ours,), daemon=True).start()
        port = ours.getsockname()[1]
        tunnel = client.start("-N", "-o", "ExitOnForwardFailure=yes", "-R", f"0:127.0.0.1:{port}", "rc-t")
        try:
            assert tunnel.stderr is not None
            words = tunnel.stderr.readline().decode().split()
            assert words[:3] == ["Allocated", "port", words[2]]
            ask_there = f"exec 3<>/dev/tcp/127.0.0.1/{words[2]}; echo two words >&3; cat <&3"
            for _ in range(2):
                assert client.ssh("rc-t", f"bash -c '{ask_there}'").stdout == b"TWO WORDS\n"
        finally:
            end(tunnel)


def test_sockets_are_forwarded(client: Client) -> None:
    server, _ = start_server(client, ON_SOCKET)
    here = free_port()
    tunnel = client.start("-N", "-L", f"{here}:/tmp/our.sock", "rc-t")
    try:
        assert ask(here, "socket\n") == "SOCKET\n"
    finally:
        end(tunnel, server)


# cuts


def test_a_command_and_a_listener_come_through_a_kill_of_the_daemon(client: Client) -> None:
    program = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    process = client.start("rc-t", shlex.join(["python3", "-c", program]), stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, socket.create_server(("127.0.0.1", 0)) as ours:
        threading.Thread(target=serve, args=(ours,), daemon=True).start()
        tunnel = client.start("-N", "-R", f"/tmp/back.sock:127.0.0.1:{ours.getsockname()[1]}", "rc-t")
        program = (
            "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/tmp/back.sock'); s.sendall(b'a\\n')"
        )
        ask_there = shlex.join(["python3", "-c", program + "; sys.exit(s.recv(9) != b'A\\n')"])
        try:
            for word in (b"one\n", b"two\n"):
                process.stdin.write(word)
                process.stdin.flush()
                assert process.stdout.readline() == word.upper()
                deadline = time.monotonic() + DEADLINE
                while client.ssh("rc-t", ask_there).returncode != 0:
                    assert time.monotonic() < deadline
                if word == b"one\n":
                    client.me.daemon.kill()
                    client.me.daemon.start()
            process.stdin.close()
            assert process.wait(timeout=DEADLINE) == 0
        finally:
            end(tunnel)
            process.kill()


# configuration


def test_one_line_is_added_to_the_users_file(client: Client, tmp_path: Path) -> None:
    theirs = tmp_path / ".ssh" / "config"
    theirs.parent.mkdir()
    theirs.write_text("# mine\nHost *\n    User me\n")
    theirs.chmod(0o644)
    for _ in range(2):
        client.me.ok("ssh-config", "--install", HOME=str(tmp_path))
    first, _, rest = theirs.read_text().partition("\n")
    assert first == f'Include "{client.me.daemon.places.data}/ssh/config"'
    assert (rest, theirs.stat().st_mode & 0o777) == ("# mine\nHost *\n    User me\n", 0o644)
    key = client.me.daemon.places.data / "ssh" / "host_key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert client.me.ok("ssh-config") == (key.parent / "config").read_text()


def test_another_key_is_refused(client: Client, tmp_path: Path) -> None:
    other = tmp_path / "other"
    client.ok("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other))
    (tmp_path / "known").write_text("rc-* " + other.with_suffix(".pub").read_text())
    done = client.ssh("-o", f"UserKnownHostsFile={tmp_path / 'known'}", "rc-t", "true")
    assert done.returncode == 255
    assert b"Host key verification failed" in done.stderr


def start_server(client: Client, listen: str) -> tuple[subprocess.Popen[bytes], int]:
    """In the sandbox, answering lines in capitals: (its ssh, what it prints)."""
    server = client.start("rc-t", shlex.join(["python3", "-c", UPPER.format(listen=listen)]))
    assert server.stdout is not None
    return server, int(server.stdout.readline())


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tree(folder: Path) -> list[tuple[str, int, bytes]]:
    """Names, modes and content."""
    return [
        (str(path.relative_to(folder)), path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in sorted(folder.rglob("*"))
    ]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def ask(port: int, line: str) -> str:
    """One exchange; waits until somebody listens."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as connection:
                connection.sendall(line.encode())
                return connection.makefile().read()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def serve(ours: socket.socket) -> None:
    while True:
        try:
            connection, _ = ours.accept()
        except OSError:
            return
        with connection, connection.makefile() as lines:
            connection.sendall(lines.readline().upper().encode())


def end(*processes: subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.terminate()
        process.communicate(timeout=DEADLINE)
