"""What the Docker SDK raises, and what it becomes: one table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests.exceptions
from docker.errors import APIError, DockerException

from rc_protos import errors
from rc_protos.errors import ErrorCode, RemoteClaudeError

# The first line whose status and text fit decides; status 0 is any.
TABLE: tuple[tuple[int, str, ErrorCode, str], ...] = (
    (0, "no space left", ErrorCode.EXHAUSTED, "free some space on the engine's host: docker system prune"),
    (0, "is not running", ErrorCode.UNAVAILABLE, "it is started again when it is needed: rc resume"),
    (0, "is paused", ErrorCode.UNAVAILABLE, "run: docker unpause"),
    (0, "toomanyrequests", ErrorCode.EXHAUSTED, "the registry limits pulls; log in with: docker login"),
    (0, "unauthorized", ErrorCode.UNAUTHENTICATED, "run: docker login"),
    (0, "access denied", ErrorCode.NOT_FOUND, "check the image's name, or run: docker login"),
    (400, "", ErrorCode.USAGE, ""),
    (401, "", ErrorCode.UNAUTHENTICATED, "run: docker login"),
    (403, "", ErrorCode.PERMISSION, ""),
    (404, "", ErrorCode.NOT_FOUND, ""),
    (409, "", ErrorCode.CONFLICT, ""),
    (501, "", ErrorCode.UNSUPPORTED, ""),
    (0, "", ErrorCode.UNAVAILABLE, ""),
)


def of_answer(status: int, said: str) -> RemoteClaudeError:
    """An answer of the engine that is no success."""
    text = " ".join(said.split())
    for number, part, code, hint in TABLE:
        if number in (0, status) and part in text.lower():
            return RemoteClaudeError(f"the Docker engine says: {text}", hint, code=code)
    raise AssertionError("the last line of the table fits everything")


@contextmanager
def mapped(where: str) -> Iterator[None]:
    """Translate what the SDK and the sockets below it raise; `where` names the engine."""
    try:
        yield
    except APIError as error:
        raise of_answer(error.status_code or 500, str(error.explanation or error)) from error
    except requests.exceptions.Timeout as error:
        raise errors.timeout(f"the Docker engine at {where} does not answer in time") from error
    except (requests.exceptions.RequestException, DockerException, OSError) as error:
        if "permission denied" in str(error).lower():
            raise RemoteClaudeError(
                f"you may not use the Docker engine at {where}",
                "join its group: sudo usermod -aG docker $USER, then log in anew",
                code=ErrorCode.PERMISSION,
            ) from error
        raise errors.unavailable(
            f"no Docker engine answers at {where}", "start it, or choose another with: docker context ls"
        ) from error
