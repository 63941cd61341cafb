"""What `pip install .` gives: the packages and nothing else, with working commands."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from rc_protos.version import VERSION
from support.needs import lacking

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pip(*argv: str) -> None:
    """Run pip; without a package index there is nothing to build or install with."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *argv]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0 and ("No matching distribution" in done.stderr or "connection" in done.stderr.lower()):
        lacking("no package index is reachable")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--wheel-dir", str(folder), ".")
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    declared = {Path(path).name for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]}
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == declared
    assert not [name for name in names if {"tests", "__pycache__"} & set(name.split("/"))]


def test_the_wheel_holds_every_file_that_is_not_python(wheel: Path) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    sources = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    ours = {path.split("/", 1)[1] for path in tracked.split("\0") if path.startswith(tuple(f"{s}/" for s in sources))}
    assert ours
    assert not ours - set(zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_installing_gives_working_commands(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=120)
    pip("--python", str(environment / "bin/python"), "install", str(wheel))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "RC_"))}
    for name in ("rc", "rclaude"):
        done = subprocess.run(
            [environment / "bin" / name, "--version"],
            cwd=tmp_path,
            env={**clean, "RC_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert VERSION in done.stdout
