"""Other releases of rc beside today's: the last one from its wheel, and one still to come, made from today's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

from rc_protos.version import PROTOCOL, VERSION
from support.claude import shared_cache

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 90


@dataclass(frozen=True)
class Release:
    """An installed rc: its version, and the Python that has it."""

    version: str
    python: Path

    def spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start one of its commands in the installation that RC_HOME names, and in its repository."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.Popen(
            [self.python, "-m", "rc_cli.main", *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=Path(os.environ["RC_HOME"], "repository"),
        )

    def answer(self, *argv: str) -> tuple[int, str]:
        """(exit code, what it says on both streams)."""
        process = self.spawn(*argv)
        try:
            out, err = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
        return process.returncode, (out + err).decode()

    def rc(self, *argv: str) -> str:
        """Run one of its commands, which must succeed; what it says."""
        code, said = self.answer(*argv)
        assert code == 0, (self.version, argv, code, said)
        return said


def today() -> Release:
    """This checkout."""
    return Release(VERSION, Path(sys.executable))


def previous() -> Release:
    """The last release, installed once from its wheel."""
    (wheel,) = (ROOT / "tests/releases").glob("*.whl")
    key = hashlib.sha256(wheel.read_bytes() + sys.version.encode() + sys.prefix.encode()).hexdigest()[:12]
    place = shared_cache() / "releases" / key
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(environment(fresh))
        try:
            fresh.rename(place)
        except OSError:
            # Another test process was first.
            shutil.rmtree(fresh)
    return Release(wheel.name.split("-")[1], place / "bin/python")


def coming(place: Path) -> Release:
    """Today's code as a later release: a newer protocol, and a registry that is one step further."""
    packages = environment(place)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        shutil.copytree(ROOT / package, packages / Path(package).name, ignore=shutil.ignore_patterns("__pycache__"))
    found = packages / "remote_claude-99.0.dist-info"
    found.mkdir()
    entry = "\n".join(
        f"[{group}]\n" + "\n".join(f"{name} = {target}" for name, target in points.items())
        for group, points in project["project"]["entry-points"].items()
    )
    (found / "entry_points.txt").write_text(entry)
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: remote-claude\nVersion: 99.0\n")
    change(packages / "rc_protos/version.py", f'"{VERSION}"', '"99.0"')
    change(packages / "rc_protos/version.py", f"PROTOCOL = {PROTOCOL}", f"PROTOCOL = {PROTOCOL + 1}")
    steps = packages / "rc_daemon/store/migrations.py"
    steps.write_text(steps.read_text() + STEP)
    change(steps, "Sequence[Step] = STEPS)", "Sequence[Step] = ())")
    return Release("99.0", place / "bin/python")


STEP = """

def _colour(connection: sa.Connection) -> None:
    connection.execute(sa.text("ALTER TABLE task ADD COLUMN colour TEXT"))


_migrate, COMING = migrate, (*STEPS, _colour)


def migrate(engine: sa.Engine) -> None:
    _migrate(engine, COMING)
"""


def change(file: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = file.read_text()
    assert old in text, (file, old)
    file.write_text(text.replace(old, new))


def environment(place: Path) -> Path:
    """An environment with the dependencies of this one and without rc; where its packages belong."""
    venv.create(place, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
    # Files named .pth are not heeded there: rc's own editable installation stays out.
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return packages
