"""Who is asking, in which environment, from where: the first argument of every service that changes something."""

from __future__ import annotations

from uuid import UUID

import msgspec


# A struct is made in a fifth of the time of a frozen dataclass.
class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """One request's identity.

    `actor` is `key:<key_…>`, `user:<username>` or `system:<what>`; it is written on ledger entries and audit records.
    """

    environment_id: UUID
    actor: str
    request_id: str = ""
    address: str = ""
    #: As of which version of the configuration the caller's key, and so the environment's clock, were read.
    config_version: int | None = None

    def knows(self, config_version: int) -> int:
        """The older of the two versions: a call that carries it is told when either of them is old."""
        return config_version if self.config_version is None else min(self.config_version, config_version)
