"""What every servicer knows of a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rc_protos.model import LOCAL, Principal


@dataclass(frozen=True)
class Call:
    """Who calls and with what metadata; `local` until there is a login."""

    principal: Principal = LOCAL
    metadata: Mapping[str, str] = field(default_factory=dict)
