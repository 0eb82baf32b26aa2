"""Charges that nobody asks for: of invoices that make themselves, and again of those whose charge failed."""

from __future__ import annotations

from datetime import datetime

from billing.engine.dunning import is_given_up, next_charge
from billing.models import Invoice, InvoiceSource, InvoiceStatus
from billing.services.invoice_numbers import invoice_settings
from customers.kernel.caller import Caller


def charge_soon(*, caller: Caller, invoice: Invoice, now: datetime) -> None:
    """An invoice that made itself is charged as soon as it is committed, where its environment charges by itself.

    Called in the transaction that issues an invoice.
    """
    if invoice.status != InvoiceStatus.ISSUED or invoice.source != InvoiceSource.AUTOMATIC:
        return
    if invoice_settings(environment_id=caller.environment_id, now=now).charges_automatically:
        invoice.next_charge_at = now
        invoice.save(update_fields=["next_charge_at"])


def dunning_note(*, invoice: Invoice, is_automatic: bool, now: datetime) -> bool:
    """A charge has failed: when is it tried again? True when it was the last try. The invoice is locked.

    What people try meanwhile does not change the schedule that the first failure began.
    """
    is_open = invoice.status == InvoiceStatus.ISSUED
    if not is_open or (invoice.charge_attempts and not is_automatic):
        return False
    days = invoice_settings(environment_id=invoice.environment_id, now=now).dunning_days
    invoice.charge_attempts += 1
    invoice.next_charge_at = next_charge(failures=invoice.charge_attempts, days=days, now=now)
    invoice.save(update_fields=["charge_attempts", "next_charge_at"])
    return is_given_up(failures=invoice.charge_attempts, days=days)
