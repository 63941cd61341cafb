"""One table of methods for every adapter: gRPC, Connect/JSON, later REST; errors and versions are seen to here."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from rc_daemon.api.call import Call
from rc_protos import errors
from rc_protos.errors import RemoteClaudeError
from rc_protos.v1 import options_pb2
from rc_protos.version import PROTOCOL

log = logging.getLogger("rc.api")


PROTOCOL_KEY = "rc-protocol"
# What a client of any protocol may call: it could not replace this daemon otherwise.
FOR_EVERY_PROTOCOL = ("/rc.v1.DaemonService/GetStatus", "/rc.v1.DaemonService/StopDaemon")


@dataclass(frozen=True)
class Method:
    """One RPC: its types, the permission it needs, and who answers it."""

    path: str
    permission: str
    request: type[Message]
    streams: bool
    function: Callable[[Any, Call], Any]

    async def answer(self, request: Message, call: Call) -> Message:
        """Answer a unary call; raises only RemoteClaudeError."""
        try:
            check_version(self.path, call)
            answer: Message = await self.function(request, call)
        except RemoteClaudeError:
            raise
        except Exception as error:
            raise self._defect(error) from error
        return answer

    async def answers(self, request: Message, call: Call) -> AsyncIterator[Message]:
        """Answer a streaming call; raises only RemoteClaudeError."""
        try:
            check_version(self.path, call)
            async for answer in self.function(request, call):
                yield answer
        except RemoteClaudeError:
            raise
        except Exception as error:
            raise self._defect(error) from error

    def _defect(self, error: Exception) -> RemoteClaudeError:
        log.error("%s failed", self.path, exc_info=error)
        line = (str(error).splitlines() or [""])[0]
        return errors.internal(f"{self.path}: {type(error).__name__}: {line}", "see: rc daemon logs")


def table(servicers: Mapping[ServiceDescriptor, object]) -> dict[str, Method]:
    """Every method the daemon answers by itself, by `/rc.v1.Service/Method`."""
    found: dict[str, Method] = {}
    for service, servicer in servicers.items():
        for method in service.methods:
            options: Any = method.GetOptions()
            if options.Extensions[options_pb2.route] == options_pb2.ROUTE_SANDBOX:
                continue
            path = f"/{service.full_name}/{method.name}"
            found[path] = Method(
                path,
                options.Extensions[options_pb2.permission],
                GetMessageClass(method.input_type),
                method.server_streaming,
                getattr(servicer, method.name),
            )
    return found


def check_version(path: str, call: Call) -> None:
    """Refuse a client that speaks a newer protocol, with the remedy."""
    spoken = call.metadata.get(PROTOCOL_KEY, "")
    if spoken.isdigit() and int(spoken) > PROTOCOL and path not in FOR_EVERY_PROTOCOL:
        raise errors.precondition(
            f"the daemon speaks protocol {PROTOCOL}, this rc speaks {spoken}: the daemon is older",
            "run: rc daemon restart   (running tasks live through it)",
        )
