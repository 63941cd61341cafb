"""EventService on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from rc_daemon.api.call import Call
from rc_daemon.store.store import Store
from rc_protos.convert import moment, to_message
from rc_protos.model import Event, Task
from rc_protos.v1 import event_pb2 as pb

MOST = 10_000
FindTask = Callable[[str], Awaitable[Task]]


class EventServicer:
    """Reads and watches the log; a task is named by id, prefix or name."""

    def __init__(self, store: Store, find_task: FindTask) -> None:
        self._store = store
        self._find_task = find_task

    async def ListEvents(self, request: pb.ListEventsRequest, call: Call) -> pb.ListEventsResponse:
        task_id = await self._task_id(request.task)
        tail, limit = request.tail, request.limit or MOST
        found = await self._store.read(
            lambda tx: tx.events(
                after=request.after_seq,
                task_id=task_id,
                kinds=tuple(request.kinds),
                since=moment(request.since) if request.HasField("since") else None,
                limit=min(tail or limit, MOST),
                newest=bool(tail),
            )
        )
        return pb.ListEventsResponse(events=[_wire(each) for each in found], last_seq=self._store.last_seq)

    async def WatchEvents(self, request: pb.WatchEventsRequest, call: Call) -> AsyncIterator[pb.WatchEventsResponse]:
        task_id = await self._task_id(request.task)
        watch = self._store.watch(request.after_seq, task_id=task_id, kinds=frozenset(request.kinds))
        async with aclosing(watch):
            async for events in watch:
                reached = events[-1].seq if events else self._store.last_seq
                yield pb.WatchEventsResponse(events=[_wire(each) for each in events], caught_up_seq=reached)

    async def _task_id(self, task: str) -> str:
        return (await self._find_task(task)).id if task else ""


def _wire(event: Event) -> pb.Event:
    return to_message(event, pb.Event)
