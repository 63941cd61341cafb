"""The image with the coding agents, built by scripts/image over the tests' base; the engine keeps its layers."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import engine

ROOT = Path(__file__).resolve().parents[2]
TAG = "rc-test-image:latest"
BUILD_SECONDS = 1200
START_SECONDS = 120


@dataclass(frozen=True)
class Image:
    """What was built and what scripts/image said of it."""

    name: str
    said: str
    sbom: Path

    @property
    def attributes(self) -> dict[str, Any]:
        """What the engine knows of it."""
        import docker

        with contextlib.closing(docker.from_env()) as client:
            return dict(client.images.get(self.name).attrs)

    @property
    def size(self) -> int:
        """In bytes, every layer counted once."""
        return int(self.attributes["Size"])

    def run(self, *command: str) -> str:
        """What a command prints in a container of its own without any network; raises for one that fails."""
        import docker

        with contextlib.closing(docker.from_env(timeout=START_SECONDS)) as client:
            return str(client.containers.run(self.name, [*command], network_mode="none", remove=True).decode())


def build(folder: Path) -> Image:
    """Build it, trusting one certificate more."""
    (folder / "rc-test.crt").write_text(certificate())
    words = ["--base", engine.IMAGE, "--tag", TAG, "--extra-ca", str(folder), "--sbom", str(folder / "sbom.json")]
    done = script(*words)
    assert done.returncode == 0, done.stderr[-4000:]
    return Image(TAG, done.stdout, folder / "sbom.json")


def script(*words: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/image."""
    argv = [sys.executable, str(ROOT / "scripts/image.py"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)


def certificate() -> str:
    """Some certificate, always the same, so that the layers over it are found in the cache."""
    import certifi

    found = re.search(r"-----BEGIN.*?-----END CERTIFICATE-----\n", Path(certifi.where()).read_text(), re.DOTALL)
    assert found
    return found.group()


def pins() -> dict[str, str]:
    """The versions that agent/Dockerfile names."""
    return dict(re.findall(r"^ARG (\w+)=(\S+)$", (ROOT / "agent/Dockerfile").read_text(), re.MULTILINE))
