"""TaskService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rc_daemon.api.call import Call
from rc_daemon.api.rows import brief
from rc_daemon.links import Links
from rc_daemon.tasks.service import TaskService
from rc_protos.convert import from_message, to_message
from rc_protos.errors import usage
from rc_protos.model import Task, TaskSpec, TerminalSize
from rc_protos.v1 import task_pb2 as pb


class TaskServicer:
    """Converts and calls rc_daemon.tasks.service."""

    def __init__(self, tasks: TaskService, links: Links) -> None:
        self._tasks = tasks
        self._links = links

    async def CreateTask(self, request: pb.CreateTaskRequest, call: Call) -> pb.CreateTaskResponse:
        if not request.HasField("spec"):
            raise usage("CreateTask: spec is missing")
        created = await self._tasks.create(
            from_message(request.spec, TaskSpec),
            credentials=dict(request.credentials),
            request_id=request.request_id,
            directory=request.directory,
            caller=call.principal,
        )
        return pb.CreateTaskResponse(task=_wire(created.task), notices=created.notices)

    async def ListTasks(self, request: pb.ListTasksRequest, call: Call) -> pb.ListTasksResponse:
        tasks = await self._tasks.list(list(request.filters), include_removed=request.include_removed)
        shown = [brief(task) for task in tasks] if request.brief else tasks
        return pb.ListTasksResponse(tasks=[_wire(task) for task in shown])

    async def GetTask(self, request: pb.GetTaskRequest, call: Call) -> pb.GetTaskResponse:
        task = await self._tasks.get(request.task)
        answer = pb.GetTaskResponse(task=_wire(task))
        link = self._links.get(task.sandbox_id)
        if link is not None and link.stats is not None:
            answer.task.stats.CopyFrom(link.stats)
        return answer

    async def SayTask(self, request: pb.SayTaskRequest, call: Call) -> pb.SayTaskResponse:
        task = await self._tasks.say(
            request.task,
            request.text,
            credentials=dict(request.credentials),
            request_id=request.request_id,
            caller=call.principal,
        )
        return pb.SayTaskResponse(task=_wire(task))

    async def CancelTurn(self, request: pb.CancelTurnRequest, call: Call) -> pb.CancelTurnResponse:
        return pb.CancelTurnResponse(task=_wire(await self._tasks.cancel(request.task, caller=call.principal)))

    async def StopTask(self, request: pb.StopTaskRequest, call: Call) -> pb.StopTaskResponse:
        return pb.StopTaskResponse(task=_wire(await self._tasks.stop(request.task, caller=call.principal)))

    async def ResumeTask(self, request: pb.ResumeTaskRequest, call: Call) -> pb.ResumeTaskResponse:
        task = await self._tasks.resume(request.task, credentials=dict(request.credentials), caller=call.principal)
        return pb.ResumeTaskResponse(task=_wire(task))

    async def RetryTask(self, request: pb.RetryTaskRequest, call: Call) -> pb.RetryTaskResponse:
        task = await self._tasks.retry(request.task, credentials=dict(request.credentials), caller=call.principal)
        return pb.RetryTaskResponse(task=_wire(task))

    async def MoveTask(self, request: pb.MoveTaskRequest, call: Call) -> pb.MoveTaskResponse:
        task = await self._tasks.move(request.task, request.provider, caller=call.principal)
        return pb.MoveTaskResponse(task=_wire(task))

    async def RemoveTask(self, request: pb.RemoveTaskRequest, call: Call) -> pb.RemoveTaskResponse:
        task = await self._tasks.remove(request.task, discard=request.discard, caller=call.principal)
        return pb.RemoveTaskResponse(task=_wire(task))

    async def DiffTask(self, request: pb.DiffTaskRequest, call: Call) -> AsyncIterator[pb.DiffTaskResponse]:
        async for chunk in self._tasks.diff(request.task, stat=request.stat, color=request.color):
            yield pb.DiffTaskResponse(data=chunk)

    async def ApplyTask(self, request: pb.ApplyTaskRequest, call: Call) -> pb.ApplyTaskResponse:
        files = await self._tasks.apply(request.task, request.directory, caller=call.principal)
        return pb.ApplyTaskResponse(files=files)

    async def FetchTask(self, request: pb.FetchTaskRequest, call: Call) -> pb.FetchTaskResponse:
        branch, commit = await self._tasks.fetch(
            request.task, request.directory, branch=request.branch, caller=call.principal
        )
        return pb.FetchTaskResponse(branch=branch, commit=commit)

    async def OpenNative(self, request: pb.OpenNativeRequest, call: Call) -> pb.OpenNativeResponse:
        sandbox_id, session_id = await self._tasks.open_native(
            request.task,
            TerminalSize(request.columns or 80, request.rows or 24),
            request.term,
            credentials=dict(request.credentials),
            caller=call.principal,
        )
        return pb.OpenNativeResponse(sandbox_id=sandbox_id, session_id=session_id)


def _wire(task: Task) -> pb.Task:
    return to_message(task, pb.Task)
