"""A real OpenSSH server on loopback: Debian's, unpacked beside the system, with keys, users' home and port of its own.

Root's runs in a mount namespace of its own, where the system has no user `sshd`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rc_protos import platform

# tcsh: the login shell that is least like the others.
PACKAGES = ("openssh-server", "openssh-sftp-server", "libwrap0", "tcsh")
FETCH_SECONDS = 120.0
START_SECONDS = 30.0
USER = pwd.getpwuid(os.getuid()).pw_name
# What sshd wants to find: its own user and its own directory.
NAMESPACE = """
set -e
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs none /run
mkdir -m 755 /run/sshd
shift
exec "$@"
"""


@functools.cache
def place() -> Path:
    """Where Debian's packages are unpacked; asked for first while HOME is the caller's own."""
    return Path(os.environ.get("RC_TEST_CACHE") or Path.home() / ".cache" / "remote-claude-tests") / "+".join(PACKAGES)


@functools.cache
def find() -> str:
    """Empty if a server can be started, else why not."""
    for name in ("ssh", "ssh-keygen"):
        if not shutil.which(name):
            return f"{name} is not installed (openssh-client)"
    if server() is None:
        return f"there is no sshd in {place()}"
    if (
        os.geteuid() == 0
        and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
    ):
        return "root may not make a mount namespace for sshd"
    return ""


def server() -> Path | None:
    """The sshd to start."""
    found = place() / "usr/sbin/sshd"
    return found if found.exists() else None


def fetch() -> None:
    """Download and unpack Debian's, once; nothing of the system is changed."""
    place().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        download = ["apt-get", "download", "-qq", *PACKAGES]
        # A fresh machine has no package lists yet.
        for words in (download, ["apt-get", "update", "-qq"], download):
            done = subprocess.run(words, cwd=folder, check=False, timeout=FETCH_SECONDS, capture_output=True)
            if words is download and not done.returncode:
                break
        done.check_returncode()
        new = Path(tempfile.mkdtemp(prefix="sshd", dir=place().parent))
        for package in Path(folder).glob("*.deb"):
            subprocess.run(["dpkg", "-x", str(package), str(new)], check=True, timeout=FETCH_SECONDS)
    with contextlib.suppress(OSError):
        new.rename(place())
    shutil.rmtree(new, ignore_errors=True)


class SshServer:
    """One host: a server and the home directory of whoever logs in."""

    def __init__(self, folder: Path, name: str = "box") -> None:
        self.folder = folder
        self.name = name
        self.home = folder / "home"
        self.path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        self.settings: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self.home.mkdir(parents=True)
        for key in ("host", "user"):
            make_key(folder / key)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    @property
    def public(self) -> str:
        """The host's key as in a known_hosts file."""
        return " ".join((self.folder / "host.pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        """SHA256:..."""
        told = subprocess.run(
            ["ssh-keygen", "-lf", str(self.folder / "host.pub")], capture_output=True, text=True, check=True
        )
        return told.stdout.split()[1]

    def entry(self, *more: str) -> str:
        """What a person has in ~/.ssh/config for it."""
        lines = ["HostName 127.0.0.1", f"Port {self.port}", f"User {USER}", f"IdentityFile {self.folder}/user"]
        lines += [f"UserKnownHostsFile {self.folder}/known_hosts", *more]
        return f"Host {self.name}\n" + "".join(f"    {line}\n" for line in lines)

    def trust(self) -> None:
        """Its key is known to the person."""
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {self.public}\n")

    def start(self) -> None:
        """Serve; the same port and keys after a stop."""
        found = server()
        assert found is not None
        (self.folder / "config").write_text(self._config())
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, place().glob("usr/lib/*-linux-*")))}
        argv = [str(found), "-D", "-f", str(self.folder / "config"), "-E", str(self.folder / "log")]
        if os.geteuid() == 0:
            users = Path("/etc/passwd").read_text()
            (self.folder / "passwd").write_text(f"{users}sshd:x:64999:64999::/run/sshd:/usr/sbin/nologin\n")
            argv = ["unshare", "--mount", "sh", "-c", NAMESPACE, "sh", str(self.folder), *argv]
        self._process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def stop(self) -> None:
        """End the server and every connection; what was started over them lives."""
        if self._process is None:
            return
        for pid in self._servers():
            platform.kill(pid)
        self._process.wait(START_SECONDS)
        self._process = None

    def end_sandboxes(self) -> None:
        """What a test that failed has left."""
        for record in self.home.rglob("process.json"):
            known = json.loads(record.read_text())
            for pid, started in ((known["pid"], known["started"]), (known["child"], known["child_started"])):
                if platform.alive(pid, started):
                    platform.kill(pid)

    def cut(self) -> None:
        """End every connection; the server lives."""
        assert self._process is not None
        for pid in self._servers():
            if pid != self._process.pid:
                platform.kill(pid)

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._process is not None

    def commands(self) -> list[str]:
        """What runs for those who are logged in."""
        assert self._process is not None
        found = set(platform.descendants(self._process.pid)) - set(self._servers())
        return [text for pid in found if (text := _command_line(pid))]

    def freeze(self, frozen: bool) -> None:
        """The whole server, connections too, stands still."""
        for pid in self._servers():
            platform.kill(pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def connections(self) -> int:
        """How many clients have logged in."""
        return self.log().count("Accepted publickey")

    def log(self) -> str:
        """What sshd says."""
        path = self.folder / "log"
        return path.read_text() if path.exists() else ""

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _servers(self) -> Sequence[int]:
        assert self._process is not None
        found = [self._process.pid]
        for pid in platform.descendants(self._process.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().startswith("sshd"):
                    found.append(pid)
        return found

    def _config(self) -> str:
        lines = [
            *self.settings,
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/user.pub",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin prohibit-password",
            f"PidFile {self.folder}/pid",
            f"SetEnv HOME={self.home} PATH={self.path}",
            "LogLevel VERBOSE",
        ]
        return "".join(f"{line}\n" for line in lines)


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def make_key(path: Path) -> None:
    """An ed25519 key pair without a passphrase."""
    for old in (path, path.with_name(f"{path.name}.pub")):
        old.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30)


@contextlib.contextmanager
def ssh_server(folder: Path, name: str = "box") -> Iterator[SshServer]:
    """A host that serves and whose key is known; its entry is in no configuration yet."""
    made = SshServer(folder, name)
    made.trust()
    made.start()
    try:
        yield made
    finally:
        made.stop()
        made.end_sandboxes()


@contextlib.contextmanager
def person_with(home: Path, *entries: str) -> Iterator[Path]:
    """Somebody whose home holds this ~/.ssh/config, and who has no agent: us, for a while."""
    (home / ".ssh").mkdir(mode=0o700, parents=True, exist_ok=True)
    (home / ".ssh/config").write_text("".join(entries))
    before = dict(os.environ)
    os.environ["HOME"] = str(home)
    os.environ.pop("SSH_AUTH_SOCK", None)
    try:
        yield home
    finally:
        os.environ.clear()
        os.environ.update(before)


def main() -> int:
    """What scripts/test does once."""
    print("== fetching sshd for the tests, once", flush=True)
    try:
        fetch()
    except (OSError, subprocess.SubprocessError) as error:
        print(f"sshd cannot be fetched: {error}; the tests that need it say so", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
