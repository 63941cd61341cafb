"""InboxService on the wire."""

from __future__ import annotations

from rc_daemon.api.call import Call
from rc_daemon.tasks.inbox import InboxService
from rc_protos.convert import to_message
from rc_protos.v1 import inbox_pb2 as pb


class InboxServicer:
    """Converts and calls rc_daemon.tasks.inbox."""

    def __init__(self, inbox: InboxService) -> None:
        self._inbox = inbox

    async def ListRequests(self, request: pb.ListRequestsRequest, call: Call) -> pb.ListRequestsResponse:
        requests = await self._inbox.list(request.task, include_answered=request.include_answered)
        return pb.ListRequestsResponse(requests=[to_message(each, pb.Request) for each in requests])

    async def AnswerRequest(self, request: pb.AnswerRequestRequest, call: Call) -> pb.AnswerRequestResponse:
        answered = await self._inbox.answer(
            request.request,
            approve=request.approve,
            because=request.because,
            option_id=request.option_id,
            caller=call.principal,
        )
        return pb.AnswerRequestResponse(request=to_message(answered, pb.Request))
