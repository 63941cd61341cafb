import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from rc_protos.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Stream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STREAM_UNSPECIFIED: _ClassVar[Stream]
    STREAM_OUT: _ClassVar[Stream]
    STREAM_ERR: _ClassVar[Stream]
STREAM_UNSPECIFIED: Stream
STREAM_OUT: Stream
STREAM_ERR: Stream

class TerminalSize(_message.Message):
    __slots__ = ("columns", "rows")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    columns: int
    rows: int
    def __init__(self, columns: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class Session(_message.Message):
    __slots__ = ("id", "name", "kind", "argv", "directory", "pty", "size", "pid", "started_at", "ended", "exit", "ended_at", "out_first", "out_end", "err_first", "err_end", "blocked", "size_cap")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PTY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    OUT_FIRST_FIELD_NUMBER: _ClassVar[int]
    OUT_END_FIELD_NUMBER: _ClassVar[int]
    ERR_FIRST_FIELD_NUMBER: _ClassVar[int]
    ERR_END_FIELD_NUMBER: _ClassVar[int]
    BLOCKED_FIELD_NUMBER: _ClassVar[int]
    SIZE_CAP_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    kind: str
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    directory: bytes
    pty: bool
    size: TerminalSize
    pid: int
    started_at: _timestamp_pb2.Timestamp
    ended: bool
    exit: ExitStatus
    ended_at: _timestamp_pb2.Timestamp
    out_first: int
    out_end: int
    err_first: int
    err_end: int
    blocked: str
    size_cap: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., argv: _Optional[_Iterable[bytes]] = ..., directory: _Optional[bytes] = ..., pty: _Optional[bool] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ..., pid: _Optional[int] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended: _Optional[bool] = ..., exit: _Optional[_Union[ExitStatus, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., out_first: _Optional[int] = ..., out_end: _Optional[int] = ..., err_first: _Optional[int] = ..., err_end: _Optional[int] = ..., blocked: _Optional[str] = ..., size_cap: _Optional[int] = ...) -> None: ...

class ExitStatus(_message.Message):
    __slots__ = ("code", "signal", "lost")
    CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    code: int
    signal: int
    lost: str
    def __init__(self, code: _Optional[int] = ..., signal: _Optional[int] = ..., lost: _Optional[str] = ...) -> None: ...

class OpenSessionRequest(_message.Message):
    __slots__ = ("session_id", "name", "kind", "argv", "environment", "directory", "pty", "size", "size_cap", "stdin_closed")
    class EnvironmentEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    PTY_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    SIZE_CAP_FIELD_NUMBER: _ClassVar[int]
    STDIN_CLOSED_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    name: str
    kind: str
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    environment: _containers.ScalarMap[str, bytes]
    directory: bytes
    pty: bool
    size: TerminalSize
    size_cap: int
    stdin_closed: bool
    def __init__(self, session_id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., argv: _Optional[_Iterable[bytes]] = ..., environment: _Optional[_Mapping[str, bytes]] = ..., directory: _Optional[bytes] = ..., pty: _Optional[bool] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ..., size_cap: _Optional[int] = ..., stdin_closed: _Optional[bool] = ...) -> None: ...

class OpenSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions",)
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("session_id",)
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    def __init__(self, session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class AttachSessionRequest(_message.Message):
    __slots__ = ("session_id", "out_offset", "err_offset", "screen", "size", "only_out", "no_follow", "hold")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    ERR_OFFSET_FIELD_NUMBER: _ClassVar[int]
    SCREEN_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    ONLY_OUT_FIELD_NUMBER: _ClassVar[int]
    NO_FOLLOW_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    out_offset: int
    err_offset: int
    screen: bool
    size: TerminalSize
    only_out: bool
    no_follow: bool
    hold: bool
    def __init__(self, session_id: _Optional[str] = ..., out_offset: _Optional[int] = ..., err_offset: _Optional[int] = ..., screen: _Optional[bool] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ..., only_out: _Optional[bool] = ..., no_follow: _Optional[bool] = ..., hold: _Optional[bool] = ...) -> None: ...

class AttachSessionResponse(_message.Message):
    __slots__ = ("data", "mark", "exit", "preamble", "session")
    DATA_FIELD_NUMBER: _ClassVar[int]
    MARK_FIELD_NUMBER: _ClassVar[int]
    EXIT_FIELD_NUMBER: _ClassVar[int]
    PREAMBLE_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    data: SessionData
    mark: SessionMark
    exit: ExitStatus
    preamble: ScreenPreamble
    session: Session
    def __init__(self, data: _Optional[_Union[SessionData, _Mapping]] = ..., mark: _Optional[_Union[SessionMark, _Mapping]] = ..., exit: _Optional[_Union[ExitStatus, _Mapping]] = ..., preamble: _Optional[_Union[ScreenPreamble, _Mapping]] = ..., session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class SessionData(_message.Message):
    __slots__ = ("stream", "offset", "data")
    STREAM_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    stream: Stream
    offset: int
    data: bytes
    def __init__(self, stream: _Optional[_Union[Stream, str]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class ScreenPreamble(_message.Message):
    __slots__ = ("data", "out_offset")
    DATA_FIELD_NUMBER: _ClassVar[int]
    OUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    out_offset: int
    def __init__(self, data: _Optional[bytes] = ..., out_offset: _Optional[int] = ...) -> None: ...

class SessionMark(_message.Message):
    __slots__ = ("out_offset", "kind", "size", "text", "time")
    OUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    out_offset: int
    kind: str
    size: TerminalSize
    text: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, out_offset: _Optional[int] = ..., kind: _Optional[str] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ..., text: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class WriteSessionRequest(_message.Message):
    __slots__ = ("session_id", "writer_id", "from_byte", "data", "end")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    WRITER_ID_FIELD_NUMBER: _ClassVar[int]
    FROM_BYTE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    writer_id: str
    from_byte: int
    data: bytes
    end: bool
    def __init__(self, session_id: _Optional[str] = ..., writer_id: _Optional[str] = ..., from_byte: _Optional[int] = ..., data: _Optional[bytes] = ..., end: _Optional[bool] = ...) -> None: ...

class WriteSessionResponse(_message.Message):
    __slots__ = ("watermark",)
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    watermark: int
    def __init__(self, watermark: _Optional[int] = ...) -> None: ...

class ResizeSessionRequest(_message.Message):
    __slots__ = ("session_id", "size")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    size: TerminalSize
    def __init__(self, session_id: _Optional[str] = ..., size: _Optional[_Union[TerminalSize, _Mapping]] = ...) -> None: ...

class ResizeSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SignalSessionRequest(_message.Message):
    __slots__ = ("session_id", "signal")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    signal: int
    def __init__(self, session_id: _Optional[str] = ..., signal: _Optional[int] = ...) -> None: ...

class SignalSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CloseSessionRequest(_message.Message):
    __slots__ = ("session_id", "grace_milliseconds")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    GRACE_MILLISECONDS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    grace_milliseconds: int
    def __init__(self, session_id: _Optional[str] = ..., grace_milliseconds: _Optional[int] = ...) -> None: ...

class CloseSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class AckMirrorRequest(_message.Message):
    __slots__ = ("session_id", "out_offset", "err_offset")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    OUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    ERR_OFFSET_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    out_offset: int
    err_offset: int
    def __init__(self, session_id: _Optional[str] = ..., out_offset: _Optional[int] = ..., err_offset: _Optional[int] = ...) -> None: ...

class AckMirrorResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
