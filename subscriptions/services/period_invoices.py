"""Which invoice billed which period; a voided one bills none."""

from __future__ import annotations

from billing.models import Invoice
from customers.kernel.caller import Caller
from subscriptions.models import PeriodInvoice


def period_invoices_free(*, caller: Caller, invoice: Invoice, **_: object) -> None:
    """What a voided invoice billed can be billed again. In the transaction that voids it."""
    PeriodInvoice.objects.filter(environment_id=caller.environment_id, invoice=invoice).update(is_live=False)
