"""The image of a sandbox: there already, pulled, or built from a Dockerfile or a devcontainer.json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.errors import APIError, ImageNotFound, NotFound

from rc_protos import errors
from rc_providers.docker import faults
from rc_providers.docker.settings import IMAGE

Progress = Callable[[str], None]

_COMMENT = r"//[^\n]*|/\*.*?\*/"
# Strings, which stay as they are; comments; commas before a bracket.
JSONC = re.compile(rf'"(?:\\.|[^"\\])*"|{_COMMENT}|,(?=(?:\s|{_COMMENT})*[}}\]])', re.DOTALL)


def obtain(api: APIClient, options: Mapping[str, str], progress: Progress) -> dict[str, Any]:
    """What the engine knows of the image to use, which it has then; blocks. Raises not_found, usage, precondition."""
    name = options["image"]
    if options["build"]:
        name = _from_place(api, Path(options["build"]).expanduser(), progress)
    try:
        return _inspect(api, name)
    except ImageNotFound:
        pull(api, name, progress)
        return _inspect(api, name)


def pull(api: APIClient, name: str, progress: Progress) -> None:
    """Have the engine fetch it."""
    if name == IMAGE:
        raise errors.precondition(
            f"the image {name} is not on the Docker engine",
            "build it with scripts/image, or name another: -o image=NAME",
        )
    repository, tag = _split(name)
    layers: dict[str, tuple[int, int]] = {}
    progress(f"pulling {name}")
    try:
        for step in api.pull(repository, tag=tag, stream=True, decode=True):
            if "error" in step:
                raise faults.of_answer(500, str(step["error"]))
            detail = step.get("progressDetail") or {}
            if step.get("status") == "Downloading" and detail.get("total"):
                layers[step["id"]] = (detail["current"], detail["total"])
                done, total = (sum(each[part] for each in layers.values()) >> 20 for part in (0, 1))
                progress(f"pulling {name}: {done} of {total} MiB")
    except (NotFound, APIError) as error:
        why = " ".join(str(error.explanation).split())
        raise errors.not_found(
            f"the image {name} is not on the Docker engine and cannot be pulled: {why}",
            f"check its name, run: docker pull {name}, or build one: -o build=DIRECTORY",
        ) from error


def _inspect(api: APIClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.inspect_image(name)  # type: ignore[no-untyped-call]
    return found


def _from_place(api: APIClient, place: Path, progress: Progress) -> str:
    """The name or id of the image that a Dockerfile or a devcontainer.json describes."""
    if place.is_dir():
        files = (place / "Dockerfile", place / ".devcontainer" / "devcontainer.json", place / "devcontainer.json")
        place = next((each for each in files if each.is_file()), place)
    if not place.is_file():
        raise errors.usage(f"there is no Dockerfile and no devcontainer.json at {place}")
    if place.suffix == ".json":
        return _devcontainer(api, place, progress)
    return build(api, place.parent, place, {}, progress)


def _devcontainer(api: APIClient, place: Path, progress: Progress) -> str:
    try:
        told = json.loads(_without_comments(place.read_text()))
    except (OSError, ValueError) as error:
        raise errors.usage(f"{place} cannot be read: {error}") from error
    if isinstance(told.get("image"), str):
        return str(told["image"])
    recipe = told.get("build") or {}
    file = recipe.get("dockerfile") or told.get("dockerFile")
    if not file:
        raise errors.usage(f"{place} names neither image nor build.dockerfile", "other kinds are not known to rc")
    context = place.parent / recipe.get("context", ".")
    return build(api, context, place.parent / file, recipe.get("args") or {}, progress)


def build(api: APIClient, context: Path, file: Path, arguments: Mapping[str, str], progress: Progress) -> str:
    """Build with the engine's own builder; the image's id."""
    identity, said = "", ""
    for step in _steps(api, context, file, arguments):
        if "error" in step:
            raise errors.precondition(f"{file} cannot be built: {' '.join(str(step['error']).split())}", said)
        if text := str(step.get("stream", "")).strip():
            said = text
            progress(f"building: {said}")
        identity = (step.get("aux") or {}).get("ID", identity)
    if not identity:
        raise errors.precondition(f"{file} was built, and the engine does not say as what", said)
    return identity


def _steps(api: APIClient, context: Path, file: Path, arguments: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    steps: Iterator[dict[str, Any]] = api.build(
        path=str(context), dockerfile=str(file), buildargs=dict(arguments), rm=True, forcerm=True, decode=True
    )
    yield from steps


def _split(name: str) -> tuple[str, str | None]:
    """Repository and tag; a digest stays with the repository's name."""
    if "@" in name:
        return name, None
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")


def _without_comments(text: str) -> str:
    """JSON of what devcontainer.json may be: with comments, and commas before a bracket."""
    return JSONC.sub(lambda found: found.group() if found.group().startswith('"') else " ", text)
