import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from rc_protos.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Sandbox(_message.Message):
    __slots__ = ("id", "provider", "external_id", "task_id", "state", "isolation", "created_at", "epoch")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    external_id: str
    task_id: str
    state: str
    isolation: str
    created_at: _timestamp_pb2.Timestamp
    epoch: int
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., external_id: _Optional[str] = ..., task_id: _Optional[str] = ..., state: _Optional[str] = ..., isolation: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class SeenSandbox(_message.Message):
    __slots__ = ("sandbox", "standing", "presence", "task_name", "installation", "workspace", "notices", "log")
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    STANDING_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    INSTALLATION_FIELD_NUMBER: _ClassVar[int]
    WORKSPACE_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    sandbox: Sandbox
    standing: str
    presence: str
    task_name: str
    installation: str
    workspace: str
    notices: _containers.RepeatedScalarFieldContainer[str]
    log: str
    def __init__(self, sandbox: _Optional[_Union[Sandbox, _Mapping]] = ..., standing: _Optional[str] = ..., presence: _Optional[str] = ..., task_name: _Optional[str] = ..., installation: _Optional[str] = ..., workspace: _Optional[str] = ..., notices: _Optional[_Iterable[str]] = ..., log: _Optional[str] = ...) -> None: ...

class ListSandboxesRequest(_message.Message):
    __slots__ = ("look",)
    LOOK_FIELD_NUMBER: _ClassVar[int]
    look: bool
    def __init__(self, look: _Optional[bool] = ...) -> None: ...

class ListSandboxesResponse(_message.Message):
    __slots__ = ("sandboxes", "seen", "problems")
    SANDBOXES_FIELD_NUMBER: _ClassVar[int]
    SEEN_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    sandboxes: _containers.RepeatedCompositeFieldContainer[Sandbox]
    seen: _containers.RepeatedCompositeFieldContainer[SeenSandbox]
    problems: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, sandboxes: _Optional[_Iterable[_Union[Sandbox, _Mapping]]] = ..., seen: _Optional[_Iterable[_Union[SeenSandbox, _Mapping]]] = ..., problems: _Optional[_Iterable[str]] = ...) -> None: ...

class GetSandboxRequest(_message.Message):
    __slots__ = ("sandbox",)
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    sandbox: str
    def __init__(self, sandbox: _Optional[str] = ...) -> None: ...

class GetSandboxResponse(_message.Message):
    __slots__ = ("seen",)
    SEEN_FIELD_NUMBER: _ClassVar[int]
    seen: SeenSandbox
    def __init__(self, seen: _Optional[_Union[SeenSandbox, _Mapping]] = ...) -> None: ...

class StartSandboxRequest(_message.Message):
    __slots__ = ("sandbox",)
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    sandbox: str
    def __init__(self, sandbox: _Optional[str] = ...) -> None: ...

class StartSandboxResponse(_message.Message):
    __slots__ = ("seen",)
    SEEN_FIELD_NUMBER: _ClassVar[int]
    seen: SeenSandbox
    def __init__(self, seen: _Optional[_Union[SeenSandbox, _Mapping]] = ...) -> None: ...

class StopSandboxRequest(_message.Message):
    __slots__ = ("sandbox",)
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    sandbox: str
    def __init__(self, sandbox: _Optional[str] = ...) -> None: ...

class StopSandboxResponse(_message.Message):
    __slots__ = ("seen",)
    SEEN_FIELD_NUMBER: _ClassVar[int]
    seen: SeenSandbox
    def __init__(self, seen: _Optional[_Union[SeenSandbox, _Mapping]] = ...) -> None: ...

class RemoveSandboxRequest(_message.Message):
    __slots__ = ("sandbox", "discard")
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    DISCARD_FIELD_NUMBER: _ClassVar[int]
    sandbox: str
    discard: bool
    def __init__(self, sandbox: _Optional[str] = ..., discard: _Optional[bool] = ...) -> None: ...

class RemoveSandboxResponse(_message.Message):
    __slots__ = ("seen", "saved_to")
    SEEN_FIELD_NUMBER: _ClassVar[int]
    SAVED_TO_FIELD_NUMBER: _ClassVar[int]
    seen: SeenSandbox
    saved_to: str
    def __init__(self, seen: _Optional[_Union[SeenSandbox, _Mapping]] = ..., saved_to: _Optional[str] = ...) -> None: ...

class AdoptSandboxRequest(_message.Message):
    __slots__ = ("sandbox",)
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    sandbox: str
    def __init__(self, sandbox: _Optional[str] = ...) -> None: ...

class AdoptSandboxResponse(_message.Message):
    __slots__ = ("seen",)
    SEEN_FIELD_NUMBER: _ClassVar[int]
    seen: SeenSandbox
    def __init__(self, seen: _Optional[_Union[SeenSandbox, _Mapping]] = ...) -> None: ...

class ListProvidersRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Provider(_message.Message):
    __slots__ = ("name", "capabilities", "options", "problem", "reference", "summary", "abilities")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    ABILITIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    options: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    reference: str
    summary: str
    abilities: _containers.RepeatedCompositeFieldContainer[Ability]
    def __init__(self, name: _Optional[str] = ..., capabilities: _Optional[_Iterable[str]] = ..., options: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ..., reference: _Optional[str] = ..., summary: _Optional[str] = ..., abilities: _Optional[_Iterable[_Union[Ability, _Mapping]]] = ...) -> None: ...

class Ability(_message.Message):
    __slots__ = ("what", "how")
    WHAT_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    what: str
    how: str
    def __init__(self, what: _Optional[str] = ..., how: _Optional[str] = ...) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers",)
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[Provider]
    def __init__(self, providers: _Optional[_Iterable[_Union[Provider, _Mapping]]] = ...) -> None: ...

class AddProviderRequest(_message.Message):
    __slots__ = ("provider", "accept_key")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_KEY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    accept_key: str
    def __init__(self, provider: _Optional[str] = ..., accept_key: _Optional[str] = ...) -> None: ...

class AddProviderResponse(_message.Message):
    __slots__ = ("notices",)
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    notices: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, notices: _Optional[_Iterable[str]] = ...) -> None: ...

class RemoveProviderRequest(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: str
    def __init__(self, provider: _Optional[str] = ...) -> None: ...

class RemoveProviderResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyProviderRequest(_message.Message):
    __slots__ = ("provider", "options", "live", "max_cost")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    LIVE_FIELD_NUMBER: _ClassVar[int]
    MAX_COST_FIELD_NUMBER: _ClassVar[int]
    provider: str
    options: _containers.ScalarMap[str, str]
    live: bool
    max_cost: float
    def __init__(self, provider: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., live: _Optional[bool] = ..., max_cost: _Optional[float] = ...) -> None: ...

class VerifyProviderResponse(_message.Message):
    __slots__ = ("promise", "problem")
    PROMISE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    promise: str
    problem: str
    def __init__(self, promise: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...
