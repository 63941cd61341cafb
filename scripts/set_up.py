"""Makes the environment that scripts/rc and scripts/test run in; prints its path. Standard library only.

Environments lie outside the checkout, in a cache directory of their own, one per pyproject.toml. One that is not
marked complete is an interrupted set-up and is made anew. What is missing on the machine is installed only for root;
anyone else is told the line to run.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("rc", "daemon", "agent", "providers", "protos")
PIP_DEADLINE = 1200
APT_DEADLINE = 600
LOCK_DEADLINE = 1800
KEEP_OLD = 14 * 86400

# Command -> Debian package, and what it is for.
PARTS = {
    "git": ("git", "every task works on a branch of a git repository"),
    "bwrap": ("bubblewrap", "isolates local sandboxes"),
}
TEST_PARTS = {
    "tmux": ("tmux", "the peer of the terminal benches"),
    "strace": ("strace", "proves the sync before the answer"),
}


class SetUpError(Exception):
    """What failed, and what to do next."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class Progress:
    """One line on stderr that is rewritten on a terminal, and one line per step elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """A step that everyone sees."""
        self._write(text, end="" if self._live else "\n")

    def detail(self, text: str) -> None:
        """A step within the step, for people at a terminal."""
        if self._live:
            self._write(text, end="")

    def say(self, text: str) -> None:
        """A line that stays."""
        self._write(text, end="\n")

    def _write(self, text: str, end: str) -> None:
        start = "\r\033[K" if self._live else ""
        width = shutil.get_terminal_size().columns - 1
        line = f"rc: {text}"
        print(start + (line[:width] if self._live and not end else line), end=end, file=sys.stderr, flush=True)

    @property
    def seconds(self) -> int:
        """Since the start."""
        return round(time.monotonic() - self._began)


def main() -> int:
    """Set up, print the environment's path, and tell the time it took if anything was done."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("cache", type=Path, help="where this checkout's environments lie")
    arguments.add_argument("--dev", action="store_true", help="with everything the tests need")
    given = arguments.parse_args()
    progress = Progress()
    try:
        print(set_up(given.cache, given.dev, progress))
    except SetUpError as error:
        progress.say(f"{error}" + (f"\n    {error.remedy}" if error.remedy else ""))
        return 1
    except KeyboardInterrupt:
        progress.say("set-up interrupted; the next start takes it up again")
        return 130
    return 0


def set_up(cache: Path, dev: bool, progress: Progress) -> Path:
    """The path of a complete environment for today's pyproject.toml, made if it is not there."""
    make_cache(cache)
    with only_one(cache / "lock", progress):
        name = environment_name()
        wanted = [f"{name}-dev"] if dev else [f"{name}-dev", name]
        parts = {**PARTS, **TEST_PARTS} if dev else PARTS
        for found in wanted:
            if (cache / found / "complete").exists() and works(cache / found):
                if dev:
                    install_parts(parts, cache, progress)
                mark_ready(cache, found)
                return cache / found
        progress.step("first use: setting up (once, a minute or so)")
        install_parts(parts, cache, progress)
        environment = make_environment(cache, wanted[-1], "[dev]" if dev else "", progress)
        mark_ready(cache, environment.name)
        remove_old(cache, keep=environment.name)
        progress.say(f"set up in {progress.seconds} s in {environment}")
        return environment


def make_cache(cache: Path) -> None:
    """Create the cache directory, or say which variable moves it."""
    try:
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        (cache / "lock").touch()
    except OSError as error:
        raise SetUpError(
            f"cannot write to {cache}: {error.strerror}", "set XDG_CACHE_HOME to a directory that you may write to"
        ) from error


@contextmanager
def only_one(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold the set-up lock; whoever comes second waits and then finds the work done."""
    with lock.open("w") as file:
        # pip and apt inherit the lock: one that outlives a killed set-up is waited for.
        os.set_inheritable(file.fileno(), True)
        deadline = time.monotonic() + LOCK_DEADLINE
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise SetUpError(f"another set-up has held {lock} for half an hour") from error
            if not told:
                progress.step("waiting for another set-up of this checkout")
                told = True
            time.sleep(0.1)
        yield


def environment_name() -> str:
    """Changes with the declared dependencies, the Python and the way set-up works."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = [project["build-system"], project["project"], project["tool"]["hatch"], sys.version, sys.prefix]
    content = json.dumps(declared, sort_keys=True).encode() + Path(__file__).read_bytes()
    return f"env-{hashlib.sha256(content).hexdigest()[:12]}"


def works(environment: Path) -> bool:
    """Whether its Python still starts: the one it was made from may have been removed since."""
    try:
        return quietly([environment / "bin/python", "-S", "-c", "pass"])
    except OSError:
        return False


def make_environment(cache: Path, name: str, extras: str, progress: Progress) -> Path:
    """A new environment with rc installed from this checkout; marked complete as the very last step."""
    environment = cache / name
    if environment.exists():
        progress.detail("removing an interrupted set-up")
        shutil.rmtree(environment)
    log = cache / "set-up.log"
    log.write_text("")
    pip = make_venv(environment, log, progress)
    command = [*pip, "install", "--editable", f"{ROOT}{extras}"]
    run_logged(command, log, PIP_DEADLINE, "installing packages", pip_progress(progress))
    write_launcher(environment)
    (environment / "complete").touch()
    return environment


def make_venv(environment: Path, log: Path, progress: Progress) -> list[str]:
    """An empty environment; the answer is the command that installs into it."""
    progress.step(f"making an environment with Python {sys.version.split()[0]}")
    python = str(environment / "bin/python")
    if can_import("ensurepip"):
        run_logged([sys.executable, "-m", "venv", str(environment)], log, 120, "making the environment")
        return [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run_logged([sys.executable, "-m", "venv", "--without-pip", str(environment)], log, 120, "making the environment")
    if can_import("pip"):
        return [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--no-input"]
    if uv := shutil.which("uv"):
        os.environ["VIRTUAL_ENV"] = str(environment)
        return [uv, "pip"]
    raise SetUpError(f"{sys.executable} has neither ensurepip nor pip, and there is no uv", add_line([venv_package()]))


def write_launcher(environment: Path) -> None:
    """What scripts/rc starts: the path that `site` would make, without its cost."""
    site = environment / f"lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    path = [*(str(ROOT / source) for source in SOURCES), str(site)]
    (environment / "launch.py").write_text(
        f"import sys\n\nsys.path += {path!r}\nsys.argv[0] = 'rc'\n\nfrom rc_cli.main import main\n\nsys.exit(main())\n",
        encoding="utf-8",
    )


def mark_ready(cache: Path, name: str) -> None:
    """Let scripts/rc start this environment as long as pyproject.toml keeps its time stamp."""
    made_from = (ROOT / "pyproject.toml").stat()
    new = cache / "ready.new"
    new.write_text(name + "\n")
    os.utime(new, ns=(made_from.st_mtime_ns, made_from.st_mtime_ns))
    new.replace(cache / "ready")


def remove_old(cache: Path, keep: str) -> None:
    """Environments that nothing has been started from for two weeks; a daemon may still run in a younger one."""
    for old in cache.glob("env-*"):
        if old.name != keep and time.time() - old.stat().st_mtime > KEEP_OLD:
            shutil.rmtree(old, ignore_errors=True)


def can_import(module: str) -> bool:
    """Whether a Python started now would find the module: apt may have brought it since this one started."""
    return quietly([sys.executable, "-c", f"import {module}"])


def quietly(command: list[str | Path]) -> bool:
    """Whether a quick command succeeds."""
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


def venv_package() -> str:
    """The Debian package with ensurepip for this Python."""
    return f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"


def install_parts(parts: dict[str, tuple[str, str]], cache: Path, progress: Progress) -> None:
    """Bring what is missing from Debian as root; otherwise name the line that does, and go on."""
    missing = {package: why for command, (package, why) in parts.items() if not shutil.which(command)}
    if not can_import("ensurepip"):
        missing[venv_package()] = "puts pip into an environment"
    if not missing:
        return
    packages = list(missing)
    if os.geteuid() == 0 and shutil.which("apt-get"):
        progress.step(f"as root: installing {' '.join(packages)} with apt")
        if apt_install(packages, cache / "apt.log"):
            progress.say(f"installed {' '.join(packages)} with apt")
            return
        progress.say(f"apt could not install {' '.join(packages)}: see {cache / 'apt.log'}; going on without")
        return
    progress.say("missing: " + ", ".join(f"{package} ({why})" for package, why in missing.items()))
    progress.say(f"to add:  {add_line(packages)}")


def add_line(packages: list[str]) -> str:
    """The one line a person runs."""
    if shutil.which("apt-get"):
        return f"sudo apt install {' '.join(packages)}"
    return f"install {' and '.join(packages)} with your package manager"


def apt_install(packages: list[str], log: Path) -> bool:
    """Install; with fresh package lists if the present ones do not do."""
    log.write_text("")
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    for command in (install, ["apt-get", "update"], install):
        try:
            run_logged(command, log, APT_DEADLINE, "apt")
        except SetUpError:
            continue
        if command is install:
            return True
    return False


def pip_progress(progress: Progress) -> Callable[[str], None]:
    """Turn pip's own lines into a progress line."""
    seen = 0

    def show(line: str) -> None:
        nonlocal seen
        words = line.split()
        if line.startswith("Collecting "):
            seen += 1
            progress.detail(f"packages: {seen}, {words[1]}")
        elif line.lstrip().startswith("Downloading ") and len(words) > 2:
            progress.detail(f"packages: {seen}, downloading {words[1].rsplit('/', 1)[-1]} {' '.join(words[2:])}")
        elif line.startswith("Installing collected packages"):
            progress.detail(f"packages: installing {seen}")

    progress.step("downloading and installing packages")
    return show


def run_logged(
    command: list[str], log: Path, deadline: float, what: str, each_line: Callable[[str], None] = lambda line: None
) -> None:
    """Run with the output in the log; on failure the last lines that matter are in the error."""
    tail: deque[str] = deque(maxlen=8)
    with log.open("a", encoding="utf-8") as out:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", close_fds=False
        )
        killer = threading.Timer(deadline, child.kill)
        killer.start()
        try:
            for line in child.stdout or ():
                out.write(line)
                tail.append(line.rstrip())
                each_line(line)
            code = child.wait()
        finally:
            late = not killer.is_alive()
            killer.cancel()
            child.kill()
            child.wait()
    if late:
        raise SetUpError(f"{what} took longer than {deadline:.0f} s", f"see {log}")
    if code != 0:
        shown = "\n    ".join(line for line in tail if line)
        raise SetUpError(f"{what} failed (exit code {code}):\n    {shown}", f"the whole output: {log}")


if __name__ == "__main__":
    sys.exit(main())
