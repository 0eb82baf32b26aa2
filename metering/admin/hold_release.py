"""Release a hold from its page: what it set aside goes back at once, with a reason on the record."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from billing.admin.actions import movement_standing
from billing.admin.holds import HoldDeed, hold_deed_register
from billing.models import Hold, HoldState
from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Change, Dialog, Outcome, caller_of
from customers.admin.display import credits_text
from customers.admin.records import record_url
from customers.admin.requests import of_admin
from metering.services.reservation_releases import reservation_release_by_hand


def _dialog(request: HttpRequest, hold: Hold) -> Dialog:
    return Dialog(
        title="Release this hold",
        submit="Release hold",
        form=ReasonForm,
        deed=lambda data, key: _release(request, hold, data, key),
        family="hold.release",
        back=record_url(Hold, hold.public_id),
        subject=f"{hold.account.customer.label}: {credits_text(hold.amount_mc)} credits",
        intro="Gives back what it set aside. Work that still goes on behind it cannot be charged by it any more.",
        is_danger=True,
        has_preview=True,
    )


def _release(request: HttpRequest, hold: Hold, data: dict[str, Any], key: str) -> Outcome:
    caller, customer, now = caller_of(request), hold.account.customer, of_admin(request).now
    before = movement_standing(caller, customer, now)
    reservation_release_by_hand(
        caller=caller, reservation_id=hold.id, reason=data["reason"], key=key, now=now
    )
    after = movement_standing(caller, customer, now)
    return Outcome(
        message=f"Released {credits_text(hold.amount_mc)} credits of {customer.label}.",
        effect_id=hold.id,
        changes=[
            Change.of_credits("Reserved", before.reserved_mc, after.reserved_mc),
            Change.of_credits("Effective", before.effective_mc, after.effective_mc),
        ],
    )


hold_deed_register(
    HoldDeed(
        slug="release",
        label="Release",
        icon="lock_open",
        tone="danger",
        permission="billing.release_holds",
        offered=lambda hold: hold.state == HoldState.ACTIVE,
        dialog=_dialog,
    )
)
