"""The rules of the house that a machine can check: imports, dependencies, permissions, generated files."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rc_cli.commands.completion import COMMANDS
from rc_protos.v1 import options_pb2

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = {
    path.name: ROOT / path for path in map(Path, PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"])
}
HEAVY = {
    "grpc",
    "grpclib",
    "google.protobuf",
    "textual",
    "boto3",
    "paramiko",
    "pydantic",
    "typer",
    "click",
    "rich",
    "asyncio",
    "sqlalchemy",
}


def sources() -> Iterator[Path]:
    """Every hand-written source file of the packages that we ship."""
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            if not re.search(r"(_pb2|_grpc)\.py$", path.name):
                yield path


def run(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command from the top of the checkout, in this very environment."""
    bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    full = {**os.environ, "PATH": bin_first, "RC_PYTHON": sys.executable, **(env or {})}
    return subprocess.run(argv, cwd=ROOT, env=full, capture_output=True, text=True, timeout=100, check=False)


def test_packages_import_in_one_direction() -> None:
    done = run("lint-imports", "--no-cache")
    assert done.returncode == 0, done.stdout


def test_generated_proto_code_is_what_the_protos_say() -> None:
    done = run(sys.executable, "scripts/check.py", "--protos")
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_docs_and_help_are_in_step() -> None:
    done = run(sys.executable, "scripts/generate", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def imported_modules(home: Path, *argv: str) -> set[str]:
    """What one rc command imports, by Python's own account (it holds however the command exits)."""
    code = f"import sys; sys.argv = ['rc', *{argv!r}]; from rc_cli.main import main; sys.exit(main())"
    done = run(sys.executable, "-X", "importtime", "-c", code, env={"RC_HOME": str(home)})
    assert "Traceback" not in done.stderr, done.stderr
    return set(re.findall(r"^import time:[^|]*\|[^|]*\|\s*(\S+)$", done.stderr, re.MULTILINE))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of its own; a daemon that a command has started in it is stopped."""
    yield tmp_path
    run(sys.executable, "-m", "rc_cli.main", "daemon", "stop", env={"RC_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["run", "--help"],
        ["--version"],
        ["ls"],
        ["show", "x"],
        ["logs", "x"],
        ["daemon", "status"],
        ["__complete", "task", ""],
        ["__complete", "request", ""],
    ],
)
def test_fast_commands_import_nothing_heavy(home: Path, argv: list[str]) -> None:
    imported = imported_modules(home, *argv)
    assert "rc_cli.main" in imported
    heavy = {name for name in imported for root in HEAVY if name == root or name.startswith(f"{root}.")}
    assert not heavy


def test_completion_knows_every_command() -> None:
    helped = {path.stem for path in (ROOT / "rc/rc_cli/help").glob("*.txt")}
    assert set(COMMANDS.split()) == {name for name in helped if name.rpartition("-")[0] not in helped} - {"rc"}


def test_asyncio_tasks_have_an_owner() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in sources()
        if path != ROOT / "protos/rc_protos/background.py"
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and starts_bare_task(call.func)
    ]
    assert not bare, "use rc_protos.background.Background.spawn"


def starts_bare_task(function: ast.expr) -> bool:
    """`asyncio.create_task`, `loop.create_task` and their like; a TaskGroup's own method owns its tasks."""
    if isinstance(function, ast.Name):
        return function.id in ("create_task", "ensure_future")
    if not isinstance(function, ast.Attribute) or function.attr not in ("create_task", "ensure_future"):
        return False
    owner = function.value
    return isinstance(owner, ast.Call) or (isinstance(owner, ast.Name) and owner.id in ("asyncio", "loop"))


def test_every_method_names_a_permission() -> None:
    methods = [
        method
        for path in sorted((ROOT / "protos/rc_protos/v1").glob("*_pb2.py"))
        for service in importlib.import_module(f"rc_protos.v1.{path.stem}").DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    assert methods
    nameless = [
        method.full_name
        for method in methods
        if not re.fullmatch(r"[a-z_]+\.[a-z_]+", method.GetOptions().Extensions[options_pb2.permission])
    ]
    assert not nameless


def declared(requirements: list[str]) -> set[str]:
    """The normalized names of distributions in a list of requirements."""
    return {normalized(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in requirements}


def normalized(distribution: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def third_party_imports(path: Path) -> set[str]:
    """Top-level names of everything imported anywhere in the file that is neither ours nor Python's."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module)
    return {name.split(".")[0] for name in names} - sys.stdlib_module_names - PACKAGES.keys()


def test_third_party_imports_are_declared() -> None:
    dependencies = declared(PROJECT["project"]["dependencies"])
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        f"{name} in {path.relative_to(ROOT)}"
        for path in sources()
        for name in third_party_imports(path)
        if not {normalized(distribution) for distribution in distributions.get(name, [name])} & dependencies
    }
    assert not undeclared


def test_the_wheel_would_hold_nothing_but_the_packages() -> None:
    generic = [name for name in PACKAGES if not name.startswith("rc_")]
    assert not generic
    assert all((folder / "__init__.py").exists() for folder in PACKAGES.values())
