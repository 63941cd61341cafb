"""scripts/rc from a fresh clone: set-up that is cut, raced and repeated, and the start after it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.needs import lacking

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.xdist_group("set-up")]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone would hold, at a path that is not easy."""
    target = tmp_path_factory.mktemp("clone") / "a clone \N{WAVING HAND SIGN}"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A user with an empty cache; pip keeps its own, so that nothing is downloaded twice."""
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("RC_", "PYTHON", "VIRTUAL_ENV"))}
    pip_cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pip"
    cache = tmp_path_factory.mktemp("cache")
    return {"PIP_CACHE_DIR": str(pip_cache), **keep, "XDG_CACHE_HOME": str(cache), "RC_HOME": str(cache / "home")}


def launch(checkout: Path, environment: dict[str, str], *argv: str) -> subprocess.Popen[str]:
    """Start scripts/rc in a process group of its own."""
    return subprocess.Popen(
        [checkout / "scripts/rc", *argv],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Its stdout and stderr; it must succeed, unless there is nothing to install from."""
    out, err = process.communicate(timeout=300)
    if process.returncode != 0 and "No matching distribution" in err:
        lacking("no package index is reachable")
    assert process.returncode == 0, err
    return out, err


def environments(environment: dict[str, str]) -> list[Path]:
    """Every environment that set-up has begun."""
    return sorted(Path(environment["XDG_CACHE_HOME"]).rglob("env-*"))


def kill_during_set_up(checkout: Path, environment: dict[str, str]) -> None:
    """Start for the first time, and kill everything once packages are being installed."""
    process = launch(checkout, environment, "--version")
    deadline = time.monotonic() + 60
    while not list(Path(environment["XDG_CACHE_HOME"]).rglob("site-packages/pip")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)


def test_a_killed_set_up_is_repaired_by_two_starts_at_once(checkout: Path, environment: dict[str, str]) -> None:
    kill_during_set_up(checkout, environment)
    both = [launch(checkout, environment, "--version") for _ in range(2)]
    results = [finish(process) for process in both]
    assert [out for out, _ in results] == [results[0][0]] * 2
    assert len(environments(environment)) == 1
    told = "".join(err for _, err in results)
    assert told.count("set up in") == 1
    assert "waiting for another set-up" in told


def test_later_starts_say_nothing(checkout: Path, environment: dict[str, str]) -> None:
    assert finish(launch(checkout, environment, "--version"))[1] == ""


def test_a_link_to_the_launcher_starts_it_too(checkout: Path, environment: dict[str, str], tmp_path: Path) -> None:
    link = tmp_path / "rc"
    link.symlink_to(os.path.relpath(checkout / "scripts/rc", tmp_path))
    done = subprocess.run([link, "--version"], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout
    assert not done.stderr


def test_a_touched_pyproject_costs_no_new_environment(checkout: Path, environment: dict[str, str]) -> None:
    (checkout / "pyproject.toml").touch()
    finish(launch(checkout, environment, "--version"))
    assert len(environments(environment)) == 1
    assert finish(launch(checkout, environment, "--version"))[1] == ""


def test_the_checkout_stays_clean(checkout: Path) -> None:
    strange = {"__pycache__", ".venv", "build", "dist"}
    found = {path.name for path in checkout.rglob("*") if path.name in strange or path.name.endswith(".egg-info")}
    assert found <= {"__pycache__"}


def test_a_cache_that_cannot_be_written_is_one_clear_line(checkout: Path, environment: dict[str, str]) -> None:
    process = launch(checkout, {**environment, "XDG_CACHE_HOME": "/proc/nowhere"}, "--version")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert "cannot write to" in err
    assert "set XDG_CACHE_HOME" in err
    assert "Traceback" not in err
