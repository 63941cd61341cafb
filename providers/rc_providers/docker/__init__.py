"""Sandboxes as containers of a Docker engine: here, on another host, or Podman's."""

from rc_providers.docker.provider import DockerProvider

__all__ = ["DockerProvider"]
