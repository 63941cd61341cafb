"""A Docker engine for tests: the one that answers, or one of our own, and a base image that no registry is asked for.

Root's engine is started by the first test that needs one and shared by every worker and every checkout of this user;
whoever lets go of it last stops it. Its images stay in the cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 60.0
STOP_SECONDS = 40.0
BASE_SECONDS = 600.0
EXTRA_CERTIFICATES = Path("/usr/local/share/ca-certificates")
# What the tests' base image is made of; another recipe is another image.
RECIPE = ("bookworm", "minbase", "python3,git,ca-certificates")
MIRROR = "http://deb.debian.org/debian"
IMAGE = f"rc-test-base:{hashlib.sha256(repr(RECIPE).encode()).hexdigest()[:12]}"

# Held as long as this process uses the engine.
_using: list[int] = []


def place() -> Path:
    """The cache directory of our engine and of the base image."""
    cache = Path(os.environ.get("RC_TEST_CACHE") or Path.home() / ".cache" / "remote-claude-tests") / "engine"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    return cache


@functools.cache
def find() -> str:
    """Empty if an engine answers and has the base image, else why not; DOCKER_HOST is set for what is started later."""
    if not answers():
        if os.geteuid() != 0 or not shutil.which("dockerd"):
            return "no Docker engine answers, and dockerd can only be started by root, where docker.io is installed"
        with _only_one():
            _using.append(os.open(place() / "users", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC))
            fcntl.flock(_using[0], fcntl.LOCK_SH)
            os.environ["DOCKER_HOST"] = f"unix://{place()}/docker.sock"
            if not answers() and not _start():
                return f"dockerd does not start: see {place()}/log"
    return _load_base()


def answers() -> bool:
    """Whether the engine of this environment answers."""
    import docker

    url = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if url.startswith("unix://") and not _listens(url.removeprefix("unix://")):
        return False
    try:
        with contextlib.closing(docker.from_env(timeout=10)) as client:
            return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False


def _listens(path: str) -> bool:
    """Asked first: the SDK forgets to close a socket that nobody answers."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def release() -> None:
    """Let go of our engine; its last user stops it."""
    while _using:
        descriptor = _using.pop()
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _stop()
        os.close(descriptor)


def base() -> Path:
    """The root file system of the base image, as a tar made by debootstrap's younger brother; raises RuntimeError."""
    tar = place() / f"{IMAGE.replace(':', '-')}.tar"
    with _only_one():
        if not tar.exists():
            new = tar.with_suffix(".new")
            suite, variant, packages = RECIPE
            command = ["mmdebstrap", "--quiet", f"--variant={variant}", f"--include={packages}"]
            command += [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("doc", "man", "locale")]
            if any(EXTRA_CERTIFICATES.glob("*.crt")):
                command += [
                    f"--customize-hook=copy-in {EXTRA_CERTIFICATES} /usr/local/share",
                    '--customize-hook=chroot "$1" update-ca-certificates',
                ]
            try:
                subprocess.run(
                    [*command, "--format=tar", suite, str(new), MIRROR],
                    check=True,
                    timeout=BASE_SECONDS,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            except (OSError, subprocess.SubprocessError) as error:
                said = (getattr(error, "stderr", "") or "").strip().splitlines()
                raise RuntimeError(f"the base image cannot be made: {said[-1] if said else error}") from error
            new.rename(tar)
    return tar


def import_tar(tar: Path, name: str, changes: tuple[str, ...] = ()) -> None:
    """Make an image of a tar, without any registry."""
    import docker

    with contextlib.closing(docker.from_env(timeout=120)) as client:
        repository, _, tag = name.partition(":")
        client.api.import_image_from_file(str(tar), repository=repository, tag=tag, changes=list(changes))


def remove_image(name: str) -> None:
    """Remove what a test has made."""
    import docker

    with contextlib.closing(docker.from_env(timeout=120)) as client:
        client.api.remove_image(name, force=True)


def _load_base() -> str:
    import docker

    with contextlib.closing(docker.from_env()) as client:
        if client.images.list(name=IMAGE):
            return ""
    try:
        import_tar(base(), IMAGE)
    except (RuntimeError, docker.errors.DockerException) as error:
        return str(error)
    return ""


def _start() -> bool:
    run = place() / "run"
    _clear(run)
    run.mkdir()
    argv = [
        *("dockerd", "--host", os.environ["DOCKER_HOST"], "--data-root", str(place() / "data")),
        *("--exec-root", str(run), "--pidfile", str(place() / "pid"), "--shutdown-timeout", "5"),
    ]
    log = os.open(place() / "log", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), *((os.POSIX_SPAWN_DUP2, log, n) for n in (1, 2))]
    pid = os.posix_spawnp(argv[0], argv, os.environ, file_actions=actions, setsid=True)
    os.close(log)
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _clear(run: Path) -> None:
    """Remove what an engine has left: one that was killed everything, any one the namespaces that it has mounted."""
    mounted = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for each in mounted:
        if Path(each).is_relative_to(run):
            subprocess.run(["umount", "--lazy", each], check=True, timeout=STOP_SECONDS)
    shutil.rmtree(run, ignore_errors=True)


def gateway() -> str:
    """This machine's address for containers."""
    import docker

    with contextlib.closing(docker.from_env()) as client:
        return str(client.networks.get("bridge").attrs["IPAM"]["Config"][0]["Gateway"])


def _stop() -> None:
    """End the engine that runs on our data, and only that one."""
    try:
        pid = int((place() / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if b"dockerd" not in command or str(place() / "data").encode() not in command.split(b"\0"):
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _runs(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    with (place() / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """What scripts/test does once: make the base image's files."""
    if not (place() / f"{IMAGE.replace(':', '-')}.tar").exists():
        print("== making the base image of the Docker tests, once (a minute)", flush=True)
    try:
        base()
    except RuntimeError as error:
        print(f"{error}; the tests that need it say so", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
