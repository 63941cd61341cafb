"""The bundle: our agent and the pure-Python libraries it needs, as one zip that any bare python3 can run.

Every module comes as source and, for the interpreter that built it, compiled; another interpreter compiles for itself.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import marshal
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# Changes when the way of building changes.
_FORMAT = 2
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Package -> what in it is never needed by the agent (path prefixes inside the package).
_PACKAGES: dict[str, tuple[str, ...]] = {
    "rc_agent": (),
    "rc_demo": (),
    "rc_protos": ("bundle.py",),
    "grpclib": ("plugin/", "reflection/", "health/", "channelz/", "testing.py"),
    "h2": (),
    "hpack": (),
    "hyperframe": (),
    "multidict": (),
    "google.protobuf": ("compiler/", "testdata/", "util/", "json_format.py"),
    # Where this library does not load, protobuf does without it.
    "google._upb": (),
}
_OPTIONAL = frozenset({"rc_demo", "google._upb"})
_MAIN_FILE = "__main__.py"
_MAIN = b"from rc_agent.main import main\n\nmain()\n"


@dataclass(frozen=True)
class Bundle:
    """A built bundle; `digest` is the sha256 of the file, in hex."""

    path: Path
    digest: str
    size: int

    @property
    def directory(self) -> Path:
        """The same, unpacked, for sandboxes that can be shown a directory of this host."""
        return self.path.with_suffix("")

    def read(self) -> bytes:
        """The file's bytes."""
        return self.path.read_bytes()


def build(cache_dir: Path) -> Bundle:
    """The bundle of the installed code, built only if no module has changed since; takes a second or two then."""
    modules = dict(sorted(_modules(_PACKAGES)))
    cache_dir.mkdir(parents=True, exist_ok=True)
    key_file = cache_dir / f"{_key(modules)}.key"
    try:
        digest = key_file.read_text()
        path = cache_dir / f"{digest}.zip"
        bundle = Bundle(path, digest, path.stat().st_size)
        (bundle.directory / _MAIN_FILE).stat()
        return bundle
    except FileNotFoundError:
        data = _zip(modules)
    digest = hashlib.sha256(data).hexdigest()
    bundle = Bundle(cache_dir / f"{digest}.zip", digest, len(data))
    _write(bundle.path, data)
    _unpack(bundle)
    _write(key_file, digest.encode())
    return bundle


def pack(packages: Mapping[str, tuple[str, ...]]) -> bytes:
    """A bundle of other packages, in memory; each with the path prefixes in it that are left out."""
    return _zip(dict(sorted(_modules(packages))))


def _modules(packages: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, Path]]:
    """(name in the bundle, file) of every module."""
    for package, unwanted in packages.items():
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            if package in _OPTIONAL:
                continue
            raise ModuleNotFoundError(f"the agent's bundle needs {package}, which is not installed")
        root = Path(spec.submodule_search_locations[0])
        for file in root.rglob("*"):
            inside = file.relative_to(root).as_posix()
            if (
                file.suffix in {".py", ".so"}
                and not inside.startswith(unwanted)
                and not inside.endswith("_pb2_grpc.py")
            ):
                yield f"{package.replace('.', '/')}/{inside}", file


def _key(modules: dict[str, Path]) -> str:
    """Changes whenever a module or the interpreter does."""
    digest = hashlib.sha256(f"{_FORMAT} {sys.version} {sys.implementation.cache_tag}".encode())
    for name, file in modules.items():
        status = file.stat()
        digest.update(f"{name} {file} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _zip(modules: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        _add(archive, _MAIN_FILE, _MAIN)
        for name, file in modules.items():
            source = file.read_bytes()
            _add(archive, name, source)
            if file.suffix == ".py":
                _add(archive, _compiled_name(name), _compile(source, name))
    return buffer.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    # The same modules give the same bytes: no times, no modes of this machine.
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, data)


def _compiled_name(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc")


def _compile(source: bytes, name: str) -> bytes:
    """A .pyc that is never checked against its source (PEP 552)."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    header = importlib.util.MAGIC_NUMBER + (0b01).to_bytes(4, "little") + importlib.util.source_hash(source)
    # Version 2 of marshal shares no objects: newer ones depend on what else the process has in memory.
    return header + marshal.dumps(code, 2)


def _unpack(bundle: Bundle) -> None:
    # The same code may have come again by another way; sandboxes that live have the directory mounted.
    if (bundle.directory / _MAIN_FILE).exists():
        return
    temporary = bundle.directory.with_name(f"{bundle.digest}.{os.getpid()}")
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(temporary)
    shutil.rmtree(bundle.directory, ignore_errors=True)
    temporary.rename(bundle.directory)


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.rename(path)
