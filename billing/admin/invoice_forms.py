"""What one fills in to act on an invoice. The services check it; these only shape it."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError

from billing.engine.currencies import currency_exponent
from billing.engine.money import money_text
from billing.models import CreditNoteKind, Invoice, InvoiceSettings, InvoiceStatus
from customers.admin.fields import InstantInput, ReasonField
from customers.kernel.amounts import AMOUNT_MAX, decimal_parse

_DAYS_MAX: Final = 365
_ATTEMPTS_MAX: Final = 10


class MoneyField(forms.CharField):
    """Major units as people write them; cleaned to minor ones. No separators, because 1,000 means two things."""

    def __init__(self, *, currency: str, **options: Any) -> None:
        self.currency = currency
        attributes = {"inputmode": "decimal", "autocomplete": "off", "class": "p-number"}
        super().__init__(widget=forms.TextInput(attrs=attributes), **options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value).replace(" ", "")
        return self._minor(text) if text else None

    def _minor(self, text: str) -> int:
        given = decimal_parse(text)
        if given is None or given <= 0:
            raise ValidationError("Write an amount such as 1250 or 0.50, without separators.", code="invalid")
        if given.adjusted() > len(str(AMOUNT_MAX)):
            raise ValidationError("That is too much.", code="too-large")
        minor = given.scaleb(currency_exponent(self.currency))
        if minor != minor.to_integral_value():
            raise ValidationError(f"{self.currency.upper()} has no such fraction.", code="too-fine")
        return int(minor)


class MarkPaidForm(forms.Form):
    paid_at = InstantInput(required=False, label="Came in (UTC)", help_text="Empty: now.")
    reference = forms.CharField(
        required=False, max_length=255, help_text="What the bank says about it: a transfer's id or text."
    )
    reason = ReasonField()


class CreditNoteForm(forms.Form):
    """Of one invoice: what kinds there are depends on whether it is paid."""

    reason = ReasonField()

    def __init__(self, *arguments: Any, invoice: Invoice, **options: Any) -> None:
        super().__init__(*arguments, **options)
        kinds = _kinds(invoice)
        self.fields["kind"] = forms.ChoiceField(
            choices=[(kind.value, kind.label) for kind in kinds], initial=kinds[0], label="What becomes of it"
        )
        self.fields["amount_minor"] = MoneyField(
            currency=invoice.currency,
            required=False,
            label=f"Amount ({invoice.currency.upper()}, tax included)",
            help_text=f"Empty: all that there is. The invoice comes to {_total(invoice)}.",
        )
        self.order_fields(("kind", "amount_minor", "reason"))


class EmailForm(forms.Form):
    to = forms.EmailField(max_length=320, label="To")


class InvoiceSettingsForm(forms.Form):
    seller_name = forms.CharField(required=False, max_length=200, label="Name on invoices")
    seller_address = forms.CharField(
        required=False, max_length=1000, label="Address", widget=forms.Textarea(attrs={"rows": 3})
    )
    seller_tax_id = forms.CharField(required=False, max_length=64, label="Tax id")
    seller_email = forms.EmailField(
        required=False, max_length=320, label="E-mail", help_text="Answers go there."
    )
    footer = forms.CharField(
        required=False,
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="At the foot of each page: bank account, register, thanks.",
    )
    days_until_due = forms.IntegerField(
        min_value=0, max_value=_DAYS_MAX, label="Days until due", widget=forms.NumberInput
    )
    dunning_days = forms.CharField(
        required=False,
        label="Try again after (days)",
        help_text="After each failed charge, such as 3, 5, 7. After the last the invoice is uncollectible.",
    )
    charges_automatically = forms.BooleanField(
        required=False, label="Charge invoices that are made by themselves"
    )
    emails_invoices = forms.BooleanField(required=False, label="Send them to the customer")
    number_prefix = forms.CharField(required=False, max_length=20, label="Invoice numbers begin with")
    credit_note_prefix = forms.CharField(
        required=False, max_length=20, label="Credit note numbers begin with"
    )
    reason = ReasonField(required=False)

    def clean_dunning_days(self) -> list[int]:
        parts = [part.strip() for part in self.cleaned_data["dunning_days"].split(",") if part.strip()]
        if not all(part.isascii() and part.isdigit() and 1 <= int(part[:4]) <= _DAYS_MAX for part in parts):
            raise ValidationError(f"Write days from 1 to {_DAYS_MAX}, with commas between.", code="invalid")
        if len(parts) > _ATTEMPTS_MAX:
            raise ValidationError(f"At most {_ATTEMPTS_MAX} attempts.", code="too-many")
        return [int(part) for part in parts]


def settings_initial(settings: InvoiceSettings) -> dict[str, Any]:
    """The settings as the form shows them."""
    shown = {name: getattr(settings, name) for name in InvoiceSettingsForm.base_fields if name != "reason"}
    return {**shown, "dunning_days": ", ".join(str(days) for days in settings.dunning_days)}


def _kinds(invoice: Invoice) -> list[CreditNoteKind]:
    if invoice.status != InvoiceStatus.PAID:
        return [CreditNoteKind.REDUCTION]
    return [CreditNoteKind.BALANCE, *([CreditNoteKind.REFUND] if invoice.paid_minor else [])]


def _total(invoice: Invoice) -> str:
    return money_text(max(invoice.total_minor, 0), invoice.currency)
