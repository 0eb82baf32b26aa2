"""Money that customers have with the tenant, per currency: from credit notes and corrections, for the next invoices.

Every change is a movement. Whoever moves a balance holds the customer's lock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from billing.errors import CreditAlreadyUsed
from billing.models import CreditBalance, CreditMovement, CreditNote, Invoice

#: Used by an invoice; put there by one that came to less than nothing; both undone; put there by a credit note.
APPLIED: Final = "applied"
CARRIED: Final = "carried"
RETURNED: Final = "returned"
CREDITED: Final = "credited"


def credit_available(*, customer_id: UUID, currency: str) -> int:
    """What there is for the customer's next invoice in this currency, in any case."""
    found = CreditBalance.objects.filter(customer_id=customer_id, currency=currency.upper())
    return found.values_list("balance_minor", flat=True).first() or 0


def credit_move(
    *,
    invoice: Invoice,
    amount_minor: int,
    what: str,
    credit_note: CreditNote | None = None,
    now: datetime,
) -> None:
    """Put an amount onto the balance of the invoice's customer, or take it (below nothing). 0 moves nothing.

    Raises CreditAlreadyUsed when there is less than is to be taken.
    """
    if amount_minor == 0:
        return
    balance = _locked(invoice, now)
    if balance.balance_minor + amount_minor < 0:
        raise CreditAlreadyUsed
    balance.balance_minor += amount_minor
    balance.updated_at = now
    balance.save(update_fields=["balance_minor", "updated_at"])
    CreditMovement.objects.create(
        environment_id=invoice.environment_id,
        balance=balance,
        amount_minor=amount_minor,
        balance_after_minor=balance.balance_minor,
        invoice=invoice,
        credit_note=credit_note,
        what=what,
        occurred_at=now,
    )


def _locked(invoice: Invoice, now: datetime) -> CreditBalance:
    CreditBalance.objects.get_or_create(
        environment_id=invoice.environment_id,
        customer_id=invoice.customer_id,
        currency=invoice.currency.upper(),
        defaults={"updated_at": now},
    )
    balances = CreditBalance.objects.select_for_update(no_key=True)
    return balances.get(customer_id=invoice.customer_id, currency=invoice.currency.upper())
