"""Reconciling: invoices, payments, credit and the provider side by side. It says what differs, and changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from billing.errors import ProviderAccountNotFound, ReconciliationNotFound
from billing.gateways.payments.provider import ProviderRefused, ProviderUnavailable
from billing.models import Reconciliation
from billing.selectors.reconciliation import Difference, differences_inside, totals_inside
from billing.services.provider_accounts import STRIPE, provider_named
from billing.services.provider_comparison import (
    compared_window,
    differences_with_provider,
    provider_listed,
)
from customers.errors import DomainError, FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_parse, instant_text
from customers.models import Environment, Job
from customers.services.environments import environment_now
from customers.services.jobs import JobWork, job_kind, job_start

KIND: Final = "billing.reconcile"
#: So many are kept in words; all are counted.
DIFFERENCES_MAX: Final = 1_000
_LONGEST: Final = timedelta(days=366)


def reconciliation_start(*, caller: Caller, begin: datetime, end: datetime) -> Job:
    """Reconcile [begin, end) as a job, whose result names the reconciliation. Raises ValidationFailed."""
    if not begin < end <= begin + _LONGEST:
        raise ValidationFailed(
            errors=[FieldError("end", "invalid", "Must be after begin, and at most 366 days later.")]
        )
    window = {"begin": instant_text(begin), "end": instant_text(end), "actor": caller.actor}
    return job_start(caller=caller, kind=KIND, parameters=window, now=system_now())


def reconcile(
    *, environment_id: UUID, actor: str, begin: datetime, end: datetime, now: datetime
) -> Reconciliation:
    """Lay them side by side, and keep what was found."""
    provider, found = _of_provider(environment_id, begin, end)
    is_ours = not connection.in_atomic_block
    with transaction.atomic():
        if is_ours:
            # One instant of all our books.
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        found = [*differences_inside(environment_id=environment_id, begin=begin, end=end), *found]
        totals = totals_inside(environment_id=environment_id, begin=begin, end=end)
        return Reconciliation.objects.create(
            environment_id=environment_id,
            begin=begin,
            end=end,
            totals={**totals, "provider": provider, "differences": len(found)},
            differences=[each.to_json() for each in found[:DIFFERENCES_MAX]],
            actor=actor,
            created_at=now,
        )


def reconciliation_get(*, environment_id: UUID, reconciliation_id: UUID) -> Reconciliation:
    """Raises ReconciliationNotFound."""
    found = Reconciliation.objects.filter(environment_id=environment_id, id=reconciliation_id).first()
    if found is None:
        raise ReconciliationNotFound
    return found


def reconcile_all(*, now: datetime) -> int:
    """The day before `now` of every environment; how many differences there are."""
    differences = 0
    for environment in Environment.objects.order_by("id"):
        with environment_scope(environment.id):
            end = environment_now(environment) if environment.frozen_at else now
            done = reconcile(
                environment_id=environment.id,
                actor="system:beat",
                begin=end - timedelta(days=1),
                end=end,
                now=end,
            )
        differences += done.totals["differences"]
    return differences


def _of_provider(
    environment_id: UUID, begin: datetime, end: datetime
) -> tuple[dict[str, Any], list[Difference]]:
    """Its totals, and where it differs. Without an account, or an answer, that is said instead."""
    try:
        provider = provider_named(environment_id=environment_id, name=STRIPE)
        window = compared_window(environment_id=environment_id, begin=begin, end=end)
        listed = provider_listed(provider=provider, window=window)
        found = list(differences_with_provider(provider=provider, listed=listed, window=window))
    except ProviderAccountNotFound:
        return {"name": None, "status": "not-connected"}, []
    except (ProviderUnavailable, ProviderRefused, DomainError) as fault:
        detail = f"The provider could not be asked: {fault}"[:300]
        unknown = Difference(kind="provider-unavailable", detail=detail)
        return {"name": STRIPE, "status": "unavailable"}, [unknown]
    compared = {"payments": listed.totals(), "others": len(listed.others)}
    return {"name": STRIPE, "status": "compared", **compared}, found


@job_kind(KIND, resource="invoices")
def _run(work: JobWork) -> dict[str, Any]:
    begin, end = instant_parse(work.parameters["begin"]), instant_parse(work.parameters["end"])
    assert begin is not None  # noqa: S101 - written by reconciliation_start
    assert end is not None  # noqa: S101 - likewise
    environment = Environment.objects.get(id=work.environment_id)
    done = reconcile(
        environment_id=work.environment_id,
        actor=work.parameters["actor"],
        begin=begin,
        end=end,
        now=environment_now(environment),
    )
    work.save(done=1, total=1, checkpoint=None)
    return {"reconciliation_id": typeid("rcn", done.id), "differences": done.totals["differences"]}
