"""What the user's OpenSSH configuration says of a host: `ssh -G` where there is ssh, else paramiko's reading of it."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import paramiko

from rc_protos import errors

ASK_SECONDS = 10.0
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True)
class Settings:
    """How a host is reached; names as in ssh_config(5)."""

    target: str
    host_name: str
    port: int
    user: str
    # The name that its key is known by, without a port.
    key_alias: str
    proxy_jump: tuple[str, ...]
    proxy_command: str
    identity_files: tuple[Path, ...]
    identities_only: bool
    # The agent's socket, empty for none.
    agent: str
    known_hosts: tuple[Path, ...]

    @property
    def key_name(self) -> str:
        """How known_hosts files name it."""
        plain = self.key_alias or self.host_name
        return plain if self.key_alias or self.port == 22 else f"[{plain}]:{self.port}"


def read(target: str) -> Settings:
    """The settings of `[user@]host[:port]`; raises usage or precondition."""
    user, _, rest = target.rpartition("@")
    host, colon, port = rest.rpartition(":")
    if not colon or ":" in host:
        host, port = rest, ""
    if not host or host.startswith("-") or not (port or "22").isdigit():
        raise errors.usage(f"{target!r} is no SSH host", "such as: --on ssh:build-box, or ssh:me@build-box:2222")
    found = _asked(host, user, port) if shutil.which("ssh") else _parsed(host)

    def one(name: str, default: str = "") -> str:
        value = " ".join(found.get(name, ())) or default
        return "" if value.lower() == "none" else value

    name, number = one("hostname", host), int(port or one("port", "22"))
    login = user or one("user", getpass.getuser())
    tokens = {"h": name, "n": host, "p": str(number), "r": login, "u": getpass.getuser(), "d": str(Path.home())}
    files = found.get("identityfile") or [f"~/.ssh/{key}" for key in DEFAULT_KEYS]
    known = one("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2").split()
    known += one("globalknownhostsfile", "/etc/ssh/ssh_known_hosts").split()
    return Settings(
        target=target,
        host_name=name,
        port=number,
        user=login,
        key_alias=one("hostkeyalias"),
        proxy_jump=tuple(part for part in one("proxyjump").split(",") if part),
        proxy_command=_filled(one("proxycommand"), tokens),
        identity_files=tuple(_path(_filled(file, tokens)) for file in files if file.lower() != "none"),
        identities_only=one("identitiesonly") == "yes",
        agent=_agent(one("identityagent", "SSH_AUTH_SOCK")),
        known_hosts=tuple(_path(_filled(file, tokens)) for file in known),
    )


def _asked(host: str, user: str, port: str) -> dict[str, list[str]]:
    command = ["ssh", "-G", *(["-l", user] if user else []), *(["-p", port] if port else [])]
    own = Path.home() / ".ssh/config"
    if Path.home() != Path(pwd.getpwuid(os.getuid()).pw_dir) and own.exists():
        # ssh does not ask HOME; everything else here does.
        command += ["-F", str(own)]
    try:
        done = subprocess.run(
            [*command, "--", host],
            check=False,
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise errors.precondition(f"ssh -G {host} does not answer", "see your ~/.ssh/config") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise errors.precondition(f"ssh cannot read its configuration: {said}", "mend ~/.ssh/config")
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        found.setdefault(key.lower(), []).append(value)
    return found


def _parsed(host: str) -> dict[str, list[str]]:
    config = paramiko.SSHConfig()
    for path in (Path.home() / ".ssh/config", Path("/etc/ssh/ssh_config")):
        if path.exists():
            with path.open() as file:
                config.parse(file)
    try:
        found = config.lookup(host)
    except Exception as error:
        raise errors.precondition(
            f"~/.ssh/config cannot be read: {error}", "install ssh, which reads all of it"
        ) from error
    return {key: value if isinstance(value, list) else [value] for key, value in found.items()}


def _filled(text: str, tokens: dict[str, str]) -> str:
    """With ssh's %-tokens replaced."""
    parts = text.split("%%")
    for letter, value in tokens.items():
        parts = [part.replace(f"%{letter}", value) for part in parts]
    return "%".join(parts)


def _agent(text: str) -> str:
    # A name with $ is a variable; this one may come without.
    return os.path.expanduser(
        os.environ.get("SSH_AUTH_SOCK", "") if text == "SSH_AUTH_SOCK" else os.path.expandvars(text)
    )


def _path(text: str) -> Path:
    return Path(os.path.expanduser(text.strip('"')))
