"""The bubblewrap command line of a sandbox, and what to do where bubblewrap does not work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from rc_protos import errors
from rc_providers.local.layout import Layout, Record

# Of /etc only what programs need to run and to reach the network: no accounts, no keys, nobody's configuration.
ETC = (
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "debian_version",
    "fonts",
    "gai.conf",
    "host.conf",
    "hosts",
    "inputrc",
    "java-17-openjdk",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "magic",
    "maven",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "perl",
    "pki",
    "profile",
    "profile.d",
    "protocols",
    "python3",
    "python3.11",
    "python3.12",
    "python3.13",
    "services",
    "shells",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
    "vim",
)
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/snap")
KERNEL_FILES = ("acpi", "bus", "fs", "irq", "mtrr", "scsi", "sys")
SUPERVISOR = "/run/rc-boot/supervisor.py"
# Inside, both are the sandbox's own.
TMP, VAR_TMP = "/tmp", "/var/tmp"  # noqa: S108
PROBE_SECONDS = 10


def python() -> str:
    """The interpreter itself, not a virtual environment's link to it."""
    return os.path.realpath(sys.executable)


def command(layout: Layout, record: Record, supervisor: Path, ready: int) -> list[str]:
    """The whole argv; inside are a read-only system, the sandbox's own directories and `record.binds`."""
    executable, state = python(), layout.inside_state(record)
    argv = [_bwrap()]
    argv += ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--as-pid-1"]
    argv += ["--uid", "1000", "--gid", "1000", "--hostname", "rc", "--clearenv"]
    for name, value in layout.environment(record, executable).items():
        argv += ["--setenv", name, value]
    argv += _system()
    argv += ["--proc", "/proc", *_root_only()]
    argv += ["--dev", "/dev", "--dir", "/var", "--symlink", "../tmp", VAR_TMP, "--dir", "/run"]
    argv += ["--bind", str(layout.temporary), TMP]
    workspace = layout.inside_workspace(record)
    argv += ["--bind", str(layout.home), layout.inside_home(record), "--bind", str(layout.workspace), workspace]
    argv += ["--bind", str(layout.state), state, "--ro-bind", str(supervisor), SUPERVISOR]
    for place in [*_interpreter(executable), *record.binds]:
        argv += ["--ro-bind-try", place, place]
    # For an ordinary user nested user namespaces stay allowed: coding agents build their own sandboxes with them.
    argv += [
        "--ro-bind",
        str(layout.etc / "passwd"),
        "/etc/passwd",
        "--ro-bind",
        str(layout.etc / "group"),
        "/etc/group",
    ]
    argv += ["--remount-ro", "/", "--chdir", workspace]
    return [*argv, executable, "-I", "-S", SUPERVISOR, state, str(ready), "isolated"]


def check() -> None:
    """Raise precondition, with the exact remedy, where bubblewrap is missing or refused."""
    _bwrap()
    problem = _refusal()
    if problem:
        raise errors.precondition(f"bubblewrap is installed but refused: {problem}", _remedy(problem))


def _bwrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise errors.precondition(
            "bubblewrap, which isolates local tasks, is not installed",
            "run: sudo apt-get install bubblewrap   (or run without isolation: --isolation none)",
        )
    return found


@cache
def _refusal() -> str:
    probe = [_bwrap(), "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    try:
        done = subprocess.run(probe, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "it does not answer"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]


def _remedy(problem: str) -> str:
    apparmor = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    if apparmor.exists() and apparmor.read_text().strip() == "1":
        return (
            "AppArmor restricts user namespaces; allow them for bwrap: sudo apt-get install apparmor-profiles && "
            "sudo ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
            "sudo systemctl reload apparmor   (or: --isolation none)"
        )
    clone = Path("/proc/sys/kernel/unprivileged_userns_clone")
    if clone.exists() and clone.read_text().strip() == "0":
        return "user namespaces are off; run: sudo sysctl kernel.unprivileged_userns_clone=1   (or: --isolation none)"
    return "user namespaces seem to be off on this system; run without isolation: --isolation none"


def _system() -> Iterable[str]:
    argv: list[str] = []
    for place in SYSTEM:
        path = Path(place)
        if path.is_symlink():
            argv += ["--symlink", os.readlink(path), place]
        elif path.exists():
            argv += ["--ro-bind", place, place]
    for name in ETC:
        path = Path("/etc") / name
        if path.exists():
            # A link such as resolv.conf's may lead to where nothing is inside.
            argv += ["--ro-bind", str(path.resolve()), str(path)]
    resolver = Path("/etc/resolv.conf")
    if resolver.exists():
        argv += ["--ro-bind", str(resolver.resolve()), str(resolver)]
    return argv


def _root_only() -> list[str]:
    """More walls where rc runs as root.

    Root's number owns the kernel's files, and without any privilege it may still write them: /proc/sys alone would be
    the way out. In a user namespace of its own it could mount them anew.
    """
    if os.geteuid() != 0:
        return []
    walls = [word for name in KERNEL_FILES for word in ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")]
    return [*walls, "--disable-userns"] if _can_disable_userns() else walls


@cache
def _can_disable_userns() -> bool:
    # bubblewrap 0.8 and later.
    told = subprocess.run([_bwrap(), "--help"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    return "--disable-userns" in told.stdout + told.stderr


def _interpreter(executable: str) -> Sequence[str]:
    prefix = os.path.realpath(sys.base_prefix)
    inside = any(executable == place or executable.startswith(place + "/") for place in SYSTEM)
    return () if inside else (prefix,)
