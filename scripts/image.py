"""Builds agent/Dockerfile on the Docker engine, prints the image's size and writes its SBOM (CycloneDX)."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from docker import APIClient

from rc_protos.errors import RemoteClaudeError
from rc_protos.version import VERSION
from rc_providers.docker import images
from rc_providers.docker.engine import Engine
from rc_providers.docker.settings import IMAGE

AGENT = Path(__file__).resolve().parent.parent / "agent"
RUN_SECONDS = 120
DEBIAN = ("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\n")
# It complains about the optional packages that are left out on purpose, and lists the others all the same.
NPM = ("sh", "-c", "npm ls --all --json --prefix /opt/coding-agents 2>/dev/null || true")
NODE = ("node", "--version")


def main() -> int:
    """Exit code 1 if it cannot be built; the reason is on stderr."""
    parser = argparse.ArgumentParser(prog="scripts/image", description=__doc__)
    parser.add_argument("--base", default="", help="the image to build on, a Debian or Ubuntu")
    parser.add_argument("--extra-ca", type=Path, default=AGENT / "extra-ca", help="a folder of *.crt to trust")
    parser.add_argument("--tag", default=IMAGE, help=f"the name to give it ({IMAGE}: what rc starts by default)")
    parser.add_argument("--sbom", type=Path, help="where to write it (TAG.cdx.json, in the present directory)")
    given = parser.parse_args()
    if ":" not in given.tag.rpartition("/")[2]:
        parser.error(f"--tag {given.tag} has no version: NAME:VERSION")
    if not given.extra_ca.is_dir():
        parser.error(f"--extra-ca {given.extra_ca} is no folder")
    sbom = given.sbom or Path(given.tag.rpartition("/")[2].replace(":", "-") + ".cdx.json")
    engine = Engine()
    try:
        size = asyncio.run(engine.call(lambda api: make(api, given.base, given.extra_ca, given.tag, sbom)))
    except RemoteClaudeError as error:
        print(f"{error.message}\n{error.hint}".rstrip(), file=sys.stderr)
        return 1
    finally:
        engine.close()
    print(f"{given.tag}: {size / 1e9:.2f} GB; {sbom} lists what is in it")
    return 0


def make(api: APIClient, base: str, extra_ca: Path, tag: str, sbom: Path) -> int:
    """Build, tag and describe the image; its size in bytes. Blocks."""
    arguments = {"VERSION": VERSION, **({"BASE": base} if base else {})}
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        (context / "extra-ca").mkdir()
        for file in (AGENT / "extra-ca/README.md", *extra_ca.glob("*.crt")):
            shutil.copy(file, context / "extra-ca")
        identity = images.build(api, context, AGENT / "Dockerfile", arguments, say)
    repository, _, version = tag.rpartition(":")
    api.tag(identity, repository, version)
    components = [*debian(run(api, identity, DEBIAN)), *npm(json.loads(run(api, identity, NPM)))]
    node = run(api, identity, NODE).strip().removeprefix("v")
    components.append(component("node", node, f"pkg:generic/node@{node}"))
    sbom.write_text(json.dumps(document(tag, components), indent=1) + "\n", encoding="utf-8")
    return int(api.inspect_image(identity)["Size"])  # type: ignore[no-untyped-call]


def say(step: str) -> None:
    """A line of the build, on stderr."""
    print(step, file=sys.stderr, flush=True)


def run(api: APIClient, image: str, command: tuple[str, ...]) -> str:
    """What a command in the image prints."""
    container = api.create_container(image, [*command], entrypoint=[], network_disabled=True)["Id"]
    try:
        api.start(container)
        api.wait(container, timeout=RUN_SECONDS)
        return str(api.logs(container, stdout=True, stderr=False).decode())
    finally:
        api.remove_container(container, force=True)


def document(tag: str, components: list[dict[str, str]]) -> dict[str, Any]:
    """The SBOM, the same for the same image."""
    name, _, version = tag.rpartition(":")
    unique = {each["bom-ref"]: each for each in components}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [unique[key] for key in sorted(unique)],
    }


def component(name: str, version: str, purl: str) -> dict[str, str]:
    """One package."""
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def debian(listed: str) -> Iterator[dict[str, str]]:
    """The packages of dpkg."""
    for line in listed.splitlines():
        name, version, architecture = line.split("\t")
        yield component(name, version, f"pkg:deb/debian/{name}@{quote(version)}?arch={architecture}")


def npm(tree: dict[str, Any]) -> Iterator[dict[str, str]]:
    """The packages of npm, with what each needs."""
    for name, found in tree.get("dependencies", {}).items():
        if "version" in found:
            yield component(name, found["version"], f"pkg:npm/{quote(name)}@{found['version']}")
        yield from npm(found)


if __name__ == "__main__":
    sys.exit(main())
