"""Wind a customer down from their page: subscriptions, holds, credits, auto-topup and the customer, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Sum

from billing.admin.actions import movement_standing
from billing.models import BlockState, CreditAccount, CreditBlock
from customers.admin.customer_forms import ReasonForm
from customers.admin.customer_panels import Act, CustomerAction, Limited, action_register
from customers.admin.dialogs import Change, Outcome
from customers.admin.display import credits_text
from customers.models import Customer
from customers.services.approval_deeds import MC
from subscriptions.services.wind_down import customer_wind_down


def _wind_down(act: Act) -> Outcome:
    before = movement_standing(act.caller, act.customer, act.now)
    done = customer_wind_down(
        caller=act.caller,
        customer=act.customer,
        reason=act.data["reason"],
        metadata=dict(act.metadata) or None,
        idempotency_key=act.idempotency_key,
        now=act.now,
    )
    outcome = done.outcome
    balance_mc = outcome["balance"]
    return Outcome(
        message=f"{act.customer.label} is wound down.",
        effect_id=done.id,
        changes=[
            Change.of_credits("Balance", before.balance_mc, balance_mc),
            Change.of_credits("Reserved", before.reserved_mc, 0),
        ],
        notes=tuple(_notes(outcome)),
        # Not the balance: usage goes on while somebody decides. What was given meanwhile is another matter.
        effect=(f"earned {before.lifetime_earned_mc}", f"to come {outcome['pending_credits_voided']}"),
    )


def _notes(outcome: Mapping[str, Any]) -> Iterator[str]:
    for subscription in outcome["subscriptions_canceled"]:
        yield f"Subscription {subscription} is canceled at once."
    for released in outcome["reservations_released"]:
        yield f"Reservation {released['reservation_id']} of {credits_text(released['amount'])} credits is released."
    if outcome["credits_voided"]:
        yield f"{credits_text(outcome['credits_voided'])} credits are voided."
    if outcome["pending_credits_voided"]:
        yield f"{credits_text(outcome['pending_credits_voided'])} credits that start later are voided."
    if outcome["amount_owed"]:
        yield f"{credits_text(outcome['amount_owed'])} credits stay owed."
    yield "The customer is hidden from lists."


def _voided_mc(customer: Customer) -> int:
    """All that the customer would lose."""
    account = CreditAccount.objects.filter(customer_id=customer.pk).first()
    to_come = CreditBlock.objects.filter(account_id=customer.pk, state=BlockState.PENDING)
    pending_mc: int = to_come.aggregate(total=Sum("original_mc"))["total"] or 0
    return pending_mc + (max(account.balance_mc, 0) if account else 0)


action_register(
    CustomerAction(
        slug="wind-down",
        label="Wind down",
        title="Wind customer down",
        submit="Wind customer down",
        icon="person_off",
        order=85,
        permission="customers.delete_customer",
        form=ReasonForm,
        perform=_wind_down,
        limited=Limited(deed="customers.wind_down", amount=lambda customer, _: (_voided_mc(customer), MC)),
        is_danger=True,
        intro="Cancels subscriptions at once, releases holds, voids what is left of their credits, removes their "
        "auto-topup and deletes them. What they owe stays owed.",
        offered=lambda customer: customer.deleted_at is None,
    )
)
