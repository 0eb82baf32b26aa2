"""A button on a customer's page: bill what is unbilled, with the invoice shown before it is made."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django import forms

from billing.admin.invoice_text import invoice_text
from billing.engine.currencies import currency_is_known
from billing.engine.money import money_text
from billing.models import Invoice
from customers.admin.customer_panels import Act, CustomerAction, action_register
from customers.admin.dialogs import Change, Outcome
from customers.admin.fields import InstantInput, ReasonField
from customers.admin.records import record_url
from customers.models import Customer
from subscriptions.admin.customer_subscriptions import subscriptions_on_page
from subscriptions.services.billing_run import BillAsked, customer_bill


class BillForm(forms.Form):
    cutoff: forms.DateTimeField = InstantInput(
        required=False,
        label="Up to (UTC)",
        help_text="Empty: now. The last second of a period means its end; inside a period its usage so far is billed.",
    )
    currency = forms.CharField(
        required=False, max_length=3, help_text="Only if money is owed in several currencies."
    )
    is_draft = forms.BooleanField(required=False, label="Only a draft, to be issued later")
    reason = ReasonField()

    def clean_currency(self) -> str | None:
        code = str(self.cleaned_data["currency"])
        if code and not currency_is_known(code):
            raise forms.ValidationError("This is no currency.", code="unknown-currency")
        return code or None


def _owes_money(customer: Customer) -> bool:
    return any(each.variant.price_plan_version_id for each in subscriptions_on_page(customer))


def _bill(act: Act) -> Outcome:
    asked = BillAsked(
        cutoff=act.data["cutoff"],
        currency=act.data["currency"],
        is_draft=act.data["is_draft"],
        reason=act.data["reason"],
    )
    invoice = customer_bill(caller=act.caller, customer=act.customer, asked=asked, now=act.now)
    return Outcome(
        message=f"{invoice_text(invoice)} bills {_money(invoice, invoice.total_minor)}.",
        effect_id=invoice.id,
        url=record_url(Invoice, invoice.public_id),
        changes=list(_lines(invoice)),
        notes=(f"{_day(invoice.period_start)} to {_day(invoice.period_end)}.",),
    )


def _lines(invoice: Invoice) -> Iterator[Change]:
    for line in invoice.lines.all():
        yield Change(label=line.description, before="", after=_money(invoice, line.amount_minor))
    if invoice.tax_minor:
        yield Change(label="Tax", before="", after=_money(invoice, invoice.tax_minor))
    if invoice.credits_applied_minor:
        yield Change(label="Credit", before="", after=_money(invoice, -invoice.credits_applied_minor))
    yield Change(label="Total", before="", after=_money(invoice, invoice.total_minor))


def _money(invoice: Invoice, minor: int) -> str:
    return money_text(minor, invoice.currency)


def _day(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


action_register(
    CustomerAction(
        slug="invoice",
        label="Invoice",
        title="Invoice what is unbilled",
        submit="Make the invoice",
        icon="request_quote",
        order=32,
        permission="billing.change_invoice",
        form=BillForm,
        perform=_bill,
        intro="Usage, fees and late events that are on no invoice yet, of all their price plans in one currency.",
        offered=_owes_money,
    )
)
