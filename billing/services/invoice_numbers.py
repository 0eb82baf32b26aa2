"""Numbers without gaps: given under the lock of the environment's settings, in the transaction that uses them.

That lock is held until the commit, so it is taken last: customer, invoice, settings is the order.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from billing.models import InvoiceSettings

_DIGITS: Final = 6
DUNNING_DAYS: Final = (3, 5, 7)


def invoice_settings(*, environment_id: UUID, now: datetime) -> InvoiceSettings:
    """How an environment invoices; made with what is usual at first touch."""
    settings, _ = InvoiceSettings.objects.get_or_create(
        environment_id=environment_id, defaults={"dunning_days": list(DUNNING_DAYS), "updated_at": now}
    )
    return settings


def invoice_settings_locked(*, environment_id: UUID, now: datetime) -> InvoiceSettings:
    """The same, to change them or to take a number."""
    invoice_settings(environment_id=environment_id, now=now)
    return InvoiceSettings.objects.select_for_update(no_key=True).get(environment_id=environment_id)


def invoice_number_next(settings: InvoiceSettings) -> tuple[str, int]:
    """The next number of an invoice, spelled and counted; the settings must be locked."""
    settings.last_number += 1
    settings.save(update_fields=["last_number"])
    return f"{settings.number_prefix}{settings.last_number:0{_DIGITS}}", settings.last_number


def credit_note_number_next(settings: InvoiceSettings) -> tuple[str, int]:
    """The next number of a credit note; the settings must be locked."""
    settings.last_credit_note_number += 1
    settings.save(update_fields=["last_credit_note_number"])
    number = f"{settings.credit_note_prefix}{settings.last_credit_note_number:0{_DIGITS}}"
    return number, settings.last_credit_note_number
