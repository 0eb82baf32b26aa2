"""Deeds on invoices that take a second person above a limit, in money: void, credit, refund, mark as paid, give up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django import forms
from django.http import HttpRequest

from billing.admin.invoice_actions import (
    CHANGE,
    CREDIT,
    GIVE_UP,
    MARK_PAID,
    REFUND,
    VOID,
    InvoiceAct,
    InvoiceAction,
    acted,
    action_named,
)
from billing.admin.invoice_text import invoice_text
from billing.engine.currencies import currency_exponent
from billing.engine.money import money_text
from billing.errors import InvoiceNotFound
from billing.models import Invoice
from customers.admin.approvable import form_again, gate, performed
from customers.admin.dialogs import Above, Gate
from customers.errors import ValidationFailed
from customers.kernel.ids import typeid_parse
from customers.services.approval_deeds import (
    MONEY_LIMITS,
    ApprovalDeed,
    DeedCall,
    Performed,
    deed_register,
)

#: By the button that does it.
_SLUGS: Final = {
    VOID: "void",
    MARK_PAID: "mark-paid",
    CREDIT: "credit-note",
    REFUND: "credit-note",
    GIVE_UP: "uncollectible",
}
_LABELS: Final = {
    VOID: "Void an invoice",
    MARK_PAID: "Mark an invoice as paid",
    CREDIT: "Credit an invoice",
    REFUND: "Pay an invoice back",
    GIVE_UP: "Give up an invoice",
}


def invoice_gate(request: HttpRequest, invoice: Invoice, action: InvoiceAction) -> Gate:
    """Whether the form asks for more than the person may do alone."""
    limit = action.limit
    if limit is None:
        return lambda _form: None

    def amount(data: Mapping[str, Any]) -> tuple[int, str]:
        return limit.amount_minor(invoice, data), invoice.currency

    def judge(form: forms.Form) -> Above | None:
        return gate(
            request,
            deed=limit.deed(form.cleaned_data),
            customer=invoice.customer,
            subject=f"{invoice_text(invoice)} · {invoice.customer.label}",
            amount=amount,
            more={"invoice": invoice.public_id},
        )(form)

    return judge


def _approved(deed: str, call: DeedCall) -> Performed:
    invoice_id = typeid_parse("inv", str(call.payload.get("invoice", "")))
    invoices = Invoice.objects.select_related("customer")
    invoice = invoices.filter(id=invoice_id).first() if invoice_id else None
    action = action_named(_SLUGS[deed])
    if invoice is None or action is None:
        raise InvoiceNotFound
    data = form_again(action.form_of(invoice), call.payload)
    if action.limit is None or action.limit.deed(data) != deed:
        raise ValidationFailed("That is another deed than the one that was asked for.")
    act = InvoiceAct(
        caller=call.caller,
        invoice=invoice,
        data=data,
        idempotency_key=call.idempotency_key,
        metadata=call.metadata,
        now=call.now,
    )
    return performed(acted(action, act))


def _units(amount_minor: int, currency: str) -> Decimal:
    return Decimal(amount_minor).scaleb(-currency_exponent(currency))


def _register(deed: str, perform: Callable[[DeedCall], Performed]) -> None:
    deed_register(
        ApprovalDeed(
            name=deed,
            label=_LABELS[deed],
            permission=CHANGE,
            perform=perform,
            unit="",
            units_of=_units,
            text_of=money_text,
            limits=MONEY_LIMITS,
        )
    )


for _deed in _SLUGS:
    _register(_deed, partial(_approved, _deed))
