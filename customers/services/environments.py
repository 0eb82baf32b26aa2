"""An environment's time and the version of its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import transaction

from customers.kernel.changes import config_changed
from customers.kernel.clock import system_now
from customers.kernel.database import call_one
from customers.kernel.memory import forget_environment
from customers.models import Environment

#: Where a session of the admin keeps which environment it looks at.
IN_VIEW: Final = "environment_id"


class HasClock(Protocol):
    """An Environment row or a KnownKey."""

    @property
    def frozen_at(self) -> datetime | None: ...


def environment_now(environment: HasClock) -> datetime:
    """The environment's present: its test clock's instant, or else the system's."""
    return environment.frozen_at or system_now()


def environment_in_view(session: Mapping[str, Any]) -> Environment | None:
    """The environment a session of the admin looks at: the one chosen, or the first test."""
    environments = Environment.objects.select_related("tenant")
    chosen = session.get(IN_VIEW)
    found = environments.filter(id=UUID(chosen)).first() if chosen else None
    return found or environments.order_by("-kind", "tenant__created_at", "tenant_id").first()


def config_bump(*, environment_id: UUID) -> None:
    """Call it in the transaction that changes keys, metrics, rules or the clock: processes forget what they know."""
    call_one("SELECT customers_config_bump_v1($1)", [environment_id])
    config_changed(environment_id)
    transaction.on_commit(partial(forget_environment, environment_id))
