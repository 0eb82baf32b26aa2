"""Who is asking, in which environment, from where: the first argument of every service that changes something."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One request's identity.

    `actor` is `key:<key_…>`, `user:<username>` or `system:<what>`; it is written on ledger entries and audit records.
    """

    environment_id: UUID
    actor: str
    request_id: str = ""
    address: str = ""
