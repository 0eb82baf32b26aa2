"""Charging an invoice from its page. It moves money at once, so nothing is rehearsed: the form says what it will do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms

from billing.admin.invoice_actions import InvoiceAct, InvoiceAction, invoice_action_register
from billing.engine.money import money_text
from billing.models import Invoice, InvoiceStatus, Payment
from billing.services.invoice_states import UNPAID
from billing.services.payment_outcomes import UNDER_WAY
from billing.services.payments import Wish, invoice_charge
from billing.services.provider_accounts import provider_of
from customers.admin.fields import ReasonField
from customers.errors import DomainError


class ChargeForm(forms.Form):
    """Of one invoice: it says how much is charged, by whom."""

    payment_method_id = forms.CharField(
        required=False,
        max_length=255,
        label="Payment method",
        help_text="Its id at the provider (pm_…). Empty: the one that the customer has chosen or saved.",
    )
    reason = ReasonField()

    def __init__(self, *arguments: Any, invoice: Invoice, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.fields["reason"].help_text = charge_text(invoice)


def charge_text(invoice: Invoice) -> str:
    """What charging this invoice will do."""
    if Payment.objects.filter(invoice=invoice, status__in=UNDER_WAY).exists():
        return (
            "A payment is under way: the provider is asked what has become of it, and no second one is made."
        )
    amount = money_text(invoice.amount_due_minor, invoice.currency)
    try:
        provider = provider_of(customer=invoice.customer)
    except DomainError as refusal:
        return f"{amount} are due, but: {refusal.detail}"
    return f"{amount} will be charged by {provider.name} at once."


def _form_of(invoice: Invoice) -> Callable[..., forms.Form]:
    return partial(ChargeForm, invoice=invoice)


def _charge(act: InvoiceAct) -> None:
    wish = Wish(payment_method_id=act.data["payment_method_id"], reason=act.data["reason"])
    invoice_charge(**act.named, wish=wish)


invoice_action_register(
    InvoiceAction(
        slug="charge",
        label="Charge",
        title="Charge this invoice",
        submit="Charge now",
        icon="credit_card",
        order=20,
        perform=_charge,
        offered=lambda invoice: invoice.status in {*UNPAID, InvoiceStatus.PROCESSING},
        done="Asked the provider to charge",
        form_of=_form_of,
        intro="What is due, by the customer's payment provider. A declined card leaves the invoice as it is.",
        tone="primary",
        has_preview=False,
        is_stepwise=True,
    )
)
