"""Refund a debit from its page: all that is left of it, or a part, into the blocks it came from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final

from django import forms
from django.db.models import Sum
from django.http import Http404, HttpRequest

from billing.admin.actions import movement_changes, movement_notes, movement_standing
from billing.errors import LedgerEntryNotFound
from billing.models import EntryKind, LedgerEntry
from billing.services.credits import credits_refund
from customers.admin.approvable import form_again, gate, performed
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import credits_text
from customers.admin.fields import CreditsField, ReasonField
from customers.admin.records import record_url
from customers.admin.requests import of_admin
from customers.kernel.caller import Caller
from customers.kernel.ids import typeid_parse
from customers.services.approval_deeds import MC, ApprovalDeed, DeedCall, Performed, deed_register

PERMISSION: Final = "billing.refund_credits"
_DEED: Final = "credits.refund"


class RefundForm(forms.Form):
    amount_mc = CreditsField(
        required=False, label="Credits", help_text="Empty: all that is left of the debit."
    )
    reason = ReasonField()

    def clean_amount_mc(self) -> Any:
        given = self.cleaned_data["amount_mc"]
        if given == 0:
            raise forms.ValidationError("Must be more than zero.", code="zero")
        return given


def refund_dialog(request: HttpRequest, entry: LedgerEntry) -> Dialog:
    if entry.kind != EntryKind.DEBIT:
        raise Http404
    customer = entry.account.customer
    asked = of_admin(request)
    return Dialog(
        title="Refund this debit",
        submit="Refund credits",
        form=RefundForm,
        deed=lambda data, key: _refund(caller_of(request), entry, data, key, {}, asked.now),
        family="refund",
        back=record_url(LedgerEntry, entry.public_id),
        subject=f"{customer.label}: a debit of {credits_text(-entry.amount_mc)} credits",
        intro="Goes back into the blocks it came from; what came from a dead block becomes a new one on its terms.",
        has_preview=True,
        gate=gate(
            request,
            deed=_DEED,
            customer=customer,
            subject=customer.label,
            amount=partial(_amount, entry),
            more={"entry": entry.public_id},
        ),
    )


def _amount(entry: LedgerEntry, data: Mapping[str, Any]) -> tuple[int, str]:
    return (data["amount_mc"] or refund_left_mc(entry), MC)


def refund_left_mc(entry: LedgerEntry) -> int:
    """What of a debit was not given back yet."""
    refunds = LedgerEntry.objects.filter(account_id=entry.account_id, reverses_id=entry.id)
    refunded: int = refunds.aggregate(sum=Sum("amount_mc"))["sum"] or 0
    return max(-entry.amount_mc - refunded, 0)


def _refund(
    caller: Caller,
    entry: LedgerEntry,
    data: Mapping[str, Any],
    key: str,
    metadata: Mapping[str, Any],
    now: datetime,
) -> Outcome:
    customer = entry.account.customer
    before = movement_standing(caller, customer, now)
    left_mc = refund_left_mc(entry)
    movement = credits_refund(
        caller=caller,
        customer=customer,
        entry_id=entry.id,
        amount_mc=data["amount_mc"],
        reason=data["reason"],
        metadata=dict(metadata) or None,
        idempotency_key=key,
        now=now,
    )
    return Outcome(
        message=f"Refunded {credits_text(movement.amount_mc)} credits to {customer.label}.",
        effect_id=movement.entry_id,
        changes=movement_changes(before, movement),
        notes=tuple(movement_notes(movement)),
        effect=(f"{movement.amount_mc} mc", f"{entry.id}", f"left {left_mc}"),
    )


def _approved(call: DeedCall) -> Performed:
    entry_id = typeid_parse("led", str(call.payload.get("entry", "")))
    entries = LedgerEntry.objects.select_related("account__customer")
    entry = entries.filter(id=entry_id).first() if entry_id else None
    if entry is None:
        raise LedgerEntryNotFound
    data = form_again(RefundForm, call.payload)
    return performed(_refund(call.caller, entry, data, call.idempotency_key, call.metadata, call.now))


deed_register(ApprovalDeed(name=_DEED, label="Refund a debit", permission=PERMISSION, perform=_approved))
