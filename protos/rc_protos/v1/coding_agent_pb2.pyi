from rc_protos.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CodingAgent(_message.Message):
    __slots__ = ("name", "title", "installed", "version", "pinned_version", "executable", "credential_names", "remedy", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    INSTALLED_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PINNED_VERSION_FIELD_NUMBER: _ClassVar[int]
    EXECUTABLE_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_NAMES_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    installed: bool
    version: str
    pinned_version: str
    executable: str
    credential_names: _containers.RepeatedScalarFieldContainer[str]
    remedy: str
    source: str
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., installed: _Optional[bool] = ..., version: _Optional[str] = ..., pinned_version: _Optional[str] = ..., executable: _Optional[str] = ..., credential_names: _Optional[_Iterable[str]] = ..., remedy: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class ListCodingAgentsRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListCodingAgentsResponse(_message.Message):
    __slots__ = ("coding_agents",)
    CODING_AGENTS_FIELD_NUMBER: _ClassVar[int]
    coding_agents: _containers.RepeatedCompositeFieldContainer[CodingAgent]
    def __init__(self, coding_agents: _Optional[_Iterable[_Union[CodingAgent, _Mapping]]] = ...) -> None: ...

class InstallCodingAgentRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class InstallCodingAgentResponse(_message.Message):
    __slots__ = ("message", "done", "total", "coding_agent")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CODING_AGENT_FIELD_NUMBER: _ClassVar[int]
    message: str
    done: int
    total: int
    coding_agent: CodingAgent
    def __init__(self, message: _Optional[str] = ..., done: _Optional[int] = ..., total: _Optional[int] = ..., coding_agent: _Optional[_Union[CodingAgent, _Mapping]] = ...) -> None: ...
