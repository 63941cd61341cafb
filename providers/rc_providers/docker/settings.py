"""What can be chosen for a container, declared once, and what it becomes for the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from docker import APIClient
from docker.types import Mount

from rc_protos import errors
from rc_protos.model import Option
from rc_protos.version import VERSION

# Built by scripts/image; a name without a registry's host that nobody else can own.
IMAGE = f"remote-claude:{VERSION}"
OPTIONS = (
    Option("image", "text", IMAGE, "the image to start from; it needs python3 and git"),
    Option("build", "text", "", "build the image first: a Dockerfile, its directory, or a devcontainer.json"),
    Option("cpus", "text", "", "processors at most, such as 1.5"),
    Option("memory", "text", "", "memory at most, such as 4g"),
    Option("pids", "text", "4096", "processes at most"),
    Option("volumes", "text", "", "HOST-PATH-OR-VOLUME:PATH[:ro] to show inside, separated by commas"),
    Option("network", "text", "bridge", "the engine's network to join; none cuts the sandbox off"),
    Option("read-only", "flag", "", "only the workspace, the home and /tmp can be written"),
    Option("user", "text", "", "who the processes run as; the image's own user if that is not root"),
)
MEMORY = re.compile(r"\d+[bkmg]?", re.IGNORECASE)


def chosen(options: Mapping[str, str]) -> dict[str, str]:
    """The options with their defaults; raises usage for one that does not fit."""
    found = {option.name: str(option.default) for option in OPTIONS} | dict(options)
    found["read-only"] = "yes" if found["read-only"].lower() in ("yes", "true", "1", "on") else ""
    if found["memory"] and not MEMORY.fullmatch(found["memory"]):
        raise errors.usage(f"memory={found['memory']} is no size", "such as: -o memory=4g")
    if not found["pids"].isdigit():
        raise errors.usage(f"pids={found['pids']} is no number", "such as: -o pids=512")
    try:
        fits = not found["cpus"] or float(found["cpus"]) > 0
    except ValueError:
        fits = False
    if not fits:
        raise errors.usage(f"cpus={found['cpus']} is no number of processors", "such as: -o cpus=1.5")
    return found


def host_config(api: APIClient, options: Mapping[str, str], binds: Sequence[Path], volumes: str) -> dict[str, Any]:
    """Limits, mounts and the walls; `volumes`: a container whose volumes are taken over, or empty."""
    read_only = bool(options["read-only"])
    made: dict[str, Any] = api.create_host_config(
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        nano_cpus=int(float(options["cpus"]) * 1e9) if options["cpus"] else None,
        mem_limit=options["memory"] or None,
        pids_limit=int(options["pids"]),
        binds=[each for each in options["volumes"].split(",") if each],
        mounts=[Mount(str(place), str(place), type="bind", read_only=True) for place in binds],
        volumes_from=[volumes] if volumes else None,
        network_mode=options["network"],
        read_only=read_only,
        tmpfs={"/tmp": "rw,exec,mode=1777", "/run": "rw,mode=1777"} if read_only else None,  # noqa: S108
    )
    return made
