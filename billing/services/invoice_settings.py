"""How an environment invoices: its numbers, its terms, and who it says it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from billing.errors import NumbersGiven
from billing.models import CreditNote, Invoice, InvoiceSettings
from billing.services.invoice_numbers import invoice_settings_locked
from customers.kernel.caller import Caller
from customers.services.audit import audit_record


@transaction.atomic
def invoice_settings_update(
    *, caller: Caller, terms: Mapping[str, Any], reason: str = "", now: datetime
) -> InvoiceSettings:
    """For invoices to come; those that were issued stay as they are. Raises NumbersGiven."""
    settings = invoice_settings_locked(environment_id=caller.environment_id, now=now)
    changes = {
        field: [getattr(settings, field), value]
        for field, value in terms.items()
        if getattr(settings, field) != value
    }
    if not changes:
        return settings
    _check_counters(caller, changes)
    for field, (_, value) in changes.items():
        setattr(settings, field, value)
    settings.updated_at = now
    settings.save(update_fields=[*changes, "updated_at"])
    audit_record(
        caller=caller,
        action="invoice_settings.updated",
        object_type="invoice_settings",
        object_id=str(caller.environment_id),
        reason=reason,
        changes=changes,
        now=now,
    )
    return settings


def _check_counters(caller: Caller, changes: Mapping[str, Any]) -> None:
    """Once something is numbered, another counter would leave a gap, or give a number twice."""
    of_environment = {"environment_id": caller.environment_id}
    numbered = {
        "last_number": Invoice.objects.filter(number_sequence__isnull=False, **of_environment),
        "last_credit_note_number": CreditNote.objects.filter(**of_environment),
    }
    if any(field in changes and rows.exists() for field, rows in numbered.items()):
        raise NumbersGiven
