from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rc_protos import bundle
from rc_protos.bundle import Bundle
from rc_protos.stream.boot import STAGE0

OLDEST = tuple(map(int, re.search(r"version_info < \((\d+), (\d+)\)", STAGE0).groups()))  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def built(cache: Path) -> Bundle:
    return bundle.build(cache)


def test_it_starts_with_nothing_but_a_python(built: Bundle) -> None:
    for place in (built.path, built.directory):
        argv = [sys.executable, "-I", "-S", str(place), "no such command"]
        done = subprocess.run(argv, capture_output=True, text=True, env={}, timeout=60, check=False)
        assert done.stderr == "usage: rc-agent serve | connect [NONCE] | holder\n"


def test_every_module_is_syntax_of_the_oldest_python_we_claim(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        sources = [name for name in archive.namelist() if name.endswith(".py")]
        assert len(sources) > 100
        for name in sources:
            ast.parse(archive.read(name), name, feature_version=OLDEST)


def test_it_holds_our_code_and_no_daemon_provider_or_face(built: Bundle) -> None:
    with zipfile.ZipFile(built.path) as archive:
        names = archive.namelist()
    assert {"rc_agent/main.py", "rc_demo/main.py", "rc_protos/stream/segments.py", "grpclib/client.py"} <= set(names)
    foreign = [name for name in names if name.startswith(("rc_daemon", "rc_providers", "rc_cli", "rc_client", "grpc/"))]
    assert not foreign
    assert not [name for name in names if name.endswith("_pb2_grpc.py")]


def test_the_same_modules_give_the_same_bytes(built: Bundle, tmp_path: Path) -> None:
    code = f"from pathlib import Path; from rc_protos.bundle import build; print(build(Path({str(tmp_path)!r})).digest)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == built.digest


def test_a_directory_that_sandboxes_have_mounted_stays_when_the_same_code_comes_again(
    built: Bundle, cache: Path
) -> None:
    mounted = built.directory.stat().st_ino
    for key in cache.glob("*.key"):
        key.rename(cache / "of another installation")
    assert bundle.build(cache) == built
    assert built.directory.stat().st_ino == mounted


def test_it_is_built_once_and_again_when_a_part_is_gone(built: Bundle, cache: Path) -> None:
    made = built.path.stat().st_mtime_ns
    assert bundle.build(cache) == built
    assert built.path.stat().st_mtime_ns == made
    (built.directory / "__main__.py").unlink()
    assert bundle.build(cache) == built
    assert (built.directory / "__main__.py").exists()


def test_a_changed_module_is_another_bundle(built: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = tmp_path / "paths.py"
    changed.write_text("# changed\n")
    modules = [
        (name, changed if name == "rc_protos/paths.py" else file) for name, file in bundle._modules(bundle._PACKAGES)
    ]
    monkeypatch.setattr(bundle, "_modules", lambda _packages: iter(modules))
    again = bundle.build(tmp_path)
    assert again.digest != built.digest
    assert (again.directory / "rc_protos/paths.py").read_text() == "# changed\n"
