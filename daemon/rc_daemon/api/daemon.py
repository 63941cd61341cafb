"""DaemonService on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rc_daemon.api.call import Call
from rc_daemon.doctor import diagnose
from rc_daemon.status import Status
from rc_daemon.tasks import gc
from rc_daemon.tasks.parts import Parts
from rc_protos import config
from rc_protos.convert import to_message
from rc_protos.v1 import daemon_pb2 as pb


class DaemonServicer:
    """The daemon about itself: status, doctor, garbage, configuration, its end."""

    def __init__(self, status: Status, parts: Parts, stop: Callable[[], None]) -> None:
        self._status = status
        self._parts = parts
        self._stop = stop

    async def GetStatus(self, request: pb.GetStatusRequest, call: Call) -> pb.GetStatusResponse:
        return to_message(self._status.look(), pb.GetStatusResponse)

    async def StopDaemon(self, request: pb.StopDaemonRequest, call: Call) -> pb.StopDaemonResponse:
        # The answer leaves first.
        asyncio.get_running_loop().call_later(0.05, self._stop)
        return pb.StopDaemonResponse()

    async def Diagnose(self, request: pb.DiagnoseRequest, call: Call) -> pb.DiagnoseResponse:
        checks = await diagnose(self._parts, request.directory, tuple(request.credential_names))
        return pb.DiagnoseResponse(checks=[to_message(each, pb.Check) for each in checks])

    async def CollectGarbage(self, request: pb.CollectGarbageRequest, call: Call) -> pb.CollectGarbageResponse:
        removed, freed = await gc.collect(self._parts, dry_run=request.dry_run)
        return pb.CollectGarbageResponse(removed=removed, freed_bytes=freed)

    async def GetConfig(self, request: pb.GetConfigRequest, call: Call) -> pb.GetConfigResponse:
        loaded = await asyncio.to_thread(config.load, request.directory, dict(request.environment))
        values = [to_message(each, pb.ConfigValue) for each in loaded.values()]
        return pb.GetConfigResponse(values=values)

    async def SetConfig(self, request: pb.SetConfigRequest, call: Call) -> pb.SetConfigResponse:
        # Said now, not with the next task.
        if request.key == "agent":
            self._parts.coding_agent(request.value)
        if request.key == "provider":
            self._parts.provider(request.value)
        value, file = await asyncio.to_thread(config.write, request.key, request.value)
        return pb.SetConfigResponse(value=to_message(value, pb.ConfigValue), file=str(file))
