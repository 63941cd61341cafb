"""One container made complete, or found: every call of the engine on the way. Blocks; runs in the engine's threads."""

from __future__ import annotations

import io
import tarfile
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound
from docker.types import Mount

from rc_protos import errors
from rc_providers.base import SandboxSpec
from rc_providers.docker import images
from rc_providers.docker.account import STATE, WORKSPACE, Account, own, resolve, seed
from rc_providers.docker.sandbox import HOME_LABEL, INSTALLATION_LABEL, NETWORK_LABEL, TAG_LABEL
from rc_providers.docker.settings import chosen, host_config

# Keeps the container alive and leaves no zombies: what the agent needs anyway, so that an image without it is refused
# at once. Docker's own init would start, and then find nothing to run.
INIT = """
import os, signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    signal.pause()
"""
MAIN = ("python3", "-I", "-c", INIT)
NO_COMMAND = ("executable file not found", "no such file or directory")
USUAL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Creation:
    """The container of one tag."""

    def __init__(self, api: APIClient, spec: SandboxSpec, accounts: dict[str, tuple[str, str]]) -> None:
        """`accounts`: of images that were looked into before, /etc/passwd and /etc/group."""
        self._api = api
        self._spec = spec
        self._accounts = accounts
        self._name = f"rc-{spec.tag}"
        self._options = chosen(spec.options)

    def ensure(self) -> str:
        """The id of the container with this tag, which runs then."""
        try:
            there = self._api.inspect_container(self._name)
        except NotFound:
            return self._make()
        identity = str(there["Id"])
        if (there["Config"]["Labels"] or {}).get(TAG_LABEL) != self._spec.tag:
            raise errors.precondition(
                f"there is a container {self._name} that is not ours", f"see: docker inspect {self._name}"
            )
        if there["State"]["Status"] == "created":
            # Whoever made it was ended before it was complete.
            self._remove(identity)
            return self._make()
        if there["State"]["Paused"]:
            self._api.unpause(identity)
        elif not there["State"]["Running"]:
            self._api.start(identity)
        return identity

    def _make(self) -> str:
        image = images.obtain(self._api, self._options, self._spec.progress)
        account = self._account(image)
        volumes = self._volumes(image, account) if self._options["read-only"] else ""
        try:
            identity = self._create(image, account, volumes)
        finally:
            if volumes:
                # The volumes are the new container's now.
                self._api.remove_container(volumes)
        try:
            if not volumes:
                self._api.put_archive(identity, "/", seed(account, _directories(account), files=True))
            self._start(identity)
        except BaseException:
            self._remove(identity)
            raise
        return identity

    def _volumes(self, image: dict[str, Any], account: Account) -> str:
        """A container that only lends its volumes: a read-only one cannot be filled."""
        mounts = [Mount(place, None, type="volume") for place in (WORKSPACE, account.home)]
        config = self._api.create_host_config(mounts=mounts)
        identity = str(self._api.create_container(image["Id"], [*MAIN], entrypoint=[], host_config=config)["Id"])
        self._api.put_archive(identity, "/", seed(account, _directories(account), files=False))
        return identity

    def _create(self, image: dict[str, Any], account: Account, volumes: str) -> str:
        labels = {
            TAG_LABEL: self._spec.tag,
            INSTALLATION_LABEL: self._spec.installation,
            HOME_LABEL: account.home,
            NETWORK_LABEL: self._options["network"],
        }
        made = self._api.create_container(
            image["Id"],
            [*MAIN],
            name=self._name,
            # Not the image's: it may be anything.
            entrypoint=[],
            user=account.numbers,
            working_dir=WORKSPACE,
            environment=_environment(account, image),
            labels=labels,
            host_config=host_config(self._api, self._options, self._spec.binds, volumes),
        )
        return str(made["Id"])

    def _start(self, identity: str) -> None:
        try:
            self._api.start(identity)
        except APIError as error:
            said = str(error.explanation or "")
            if "python3" in said and any(text in said for text in NO_COMMAND):
                raise errors.precondition(
                    f"the image {self._options['image']} has no python3, which the agent runs on",
                    "take an image with python3 3.10 or newer, or build one from yours: -o build=Dockerfile",
                ) from error
            raise

    def _account(self, image: dict[str, Any]) -> Account:
        """Whom the sandbox runs as: as asked, as the image says, or as the daemon where it lends files."""
        wanted = self._options["user"]
        if not wanted and not self._spec.binds:
            wanted = str(image["Config"].get("User") or "")
            if wanted.partition(":")[0] in ("root", "0"):
                wanted = ""
        if image["Id"] not in self._accounts:
            self._accounts[image["Id"]] = self._look_into(image)
        return resolve(wanted or own(), *self._accounts[image["Id"]])

    def _look_into(self, image: dict[str, Any]) -> tuple[str, str]:
        """The accounts of an image, by way of a container that never runs."""
        identity = str(self._api.create_container(image["Id"], [*MAIN], entrypoint=[])["Id"])
        try:
            return self._read(identity, "/etc/passwd"), self._read(identity, "/etc/group")
        finally:
            self._remove(identity)

    def _read(self, identity: str, path: str) -> str:
        try:
            parts, _ = self._api.get_archive(identity, path)
        except NotFound:
            return ""
        with tarfile.open(fileobj=io.BytesIO(b"".join(parts))) as tar:
            file = tar.extractfile(tar.next() or tarfile.TarInfo())
            return file.read().decode("utf-8", "surrogateescape") if file else ""

    def _remove(self, identity: str) -> None:
        self._api.remove_container(identity, v=True, force=True)


def _directories(account: Account) -> list[str]:
    return [WORKSPACE, account.home, f"{account.home}/{STATE}"]


def _environment(account: Account, image: dict[str, Any]) -> dict[str, str]:
    given = dict(line.split("=", 1) for line in image["Config"].get("Env") or () if "=" in line)
    return {
        "PATH": given.get("PATH", USUAL_PATH),
        "LANG": given.get("LANG", "C.UTF-8"),
        "HOME": account.home,
        "RC_WORKSPACE": WORKSPACE,
        "RC_STATE": f"{account.home}/{STATE}",
    }
