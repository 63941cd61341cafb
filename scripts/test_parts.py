"""Fetches what the tests need beyond Python packages: Debian parts as root, Claude Code through the product's installer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Command -> Debian package.
DEBIAN = {
    "tmux": "tmux",
    "bwrap": "bubblewrap",
    "git": "git",
    "strace": "strace",
    "less": "less",
    "vim": "vim-tiny",
    "ssh": "openssh-client",
    "rsync": "rsync",
}
# For the tests' own Docker engine and its base image, where no engine answers.
ENGINE = {"dockerd": "docker.io", "iptables": "iptables", "mmdebstrap": "mmdebstrap"}
INSTALL_SECONDS = 900


def main() -> int:
    """Never fails: a test that misses a part says so, and fails where CI=true."""
    sys.path[:0] = [str(ROOT / "tests")]
    from support import claude, engine, sshd
    from support.needs import faketime_library

    wanted = DEBIAN if engine.answers() else {**DEBIAN, **ENGINE}
    missing = sorted(package for command, package in wanted.items() if not shutil.which(command))
    missing += [] if faketime_library() else ["libfaketime"]
    if missing:
        debian(missing)
    if shutil.which("mmdebstrap"):
        engine.main()
    if not sshd.server() and shutil.which("apt-get"):
        sshd.main()
    if not claude.installed():
        print("== fetching Claude Code for the tests, once", flush=True)
        subprocess.run([sys.executable, str(ROOT / "tests/support/claude.py")], check=False, env=with_tests_on_path())
    return 0


def debian(packages: list[str]) -> None:
    """Install them as root, or say the line to run."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        print(f"tests miss parts; run: sudo apt-get install {' '.join(packages)}", flush=True)
        return
    print(f"== installing {' '.join(packages)}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        subprocess.run(
            ["apt-get", *words], check=False, timeout=INSTALL_SECONDS, env=environment, stdout=subprocess.DEVNULL
        )


def with_tests_on_path() -> dict[str, str]:
    """tests/support is no installed package."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "tests")}


if __name__ == "__main__":
    sys.exit(main())
