"""What subscriptions add to a customer's page: those there are, and a button that makes one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse

from billing.models import CreditAccount
from customers.admin.customer_panels import (
    Act,
    CustomerAction,
    CustomerPanel,
    action_register,
    panel_register,
)
from customers.admin.dialogs import Outcome
from customers.admin.display import credits_text, instant_shown
from customers.admin.records import list_url, record_url
from customers.models import Customer
from subscriptions.admin.subscription_actions import (
    ACTIONS,
    Standing,
    balance_change,
    credits_at,
    standing_at,
    standing_changes,
)
from subscriptions.admin.subscription_forms import SubscribeForm, SubscribeToPricePlanForm
from subscriptions.admin.subscription_text import badges_of, subscription_link, variant_text
from subscriptions.admin.terms_text import billing_text
from subscriptions.models import LIVE_STATES, Subscription
from subscriptions.selectors.failed_invoices import with_failed_invoice
from subscriptions.selectors.priced_twice import customer_priced_twice
from subscriptions.services.locking import Outcome as Made
from subscriptions.services.sales import Offer
from subscriptions.services.subscriptions import subscription_create

_ROWS: Final = 8


def subscriptions_on_page(customer: Customer) -> list[Subscription]:
    """The newest, read once for a page."""
    kept: list[Subscription] | None = getattr(customer, "subscriptions_on_page", None)
    if kept is None:
        rows = Subscription.objects.filter(customer_id=customer.id).select_related(
            "variant__plan", "variant__price_plan_version__price_plan"
        )
        kept = list(with_failed_invoice(rows).order_by("-id")[: _ROWS + 1])
        customer.subscriptions_on_page = kept  # type: ignore[attr-defined]
    return kept


def _panel(request: HttpRequest, customer: Customer) -> str:
    found = subscriptions_on_page(customer)
    if not found:
        return ""
    may_bill = request.user.has_perm(ACTIONS["retry-invoice"].permission)
    rows = [_row(subscription, may_bill=may_bill) for subscription in found[:_ROWS]]
    more = list_url(Subscription, q=customer.public_id) if len(found) > _ROWS else ""
    return render_to_string("admin/purser/panel_subscriptions.html", {"rows": rows, "more": more})


def _row(subscription: Subscription, *, may_bill: bool) -> dict[str, Any]:
    failure = getattr(subscription, "failed_invoice", None)
    retry = reverse("admin:subscriptions_subscription_action", args=[subscription.public_id, "retry-invoice"])
    return {
        "not_invoiced": failure or "",
        "retry": retry if failure and may_bill else "",
        "link": subscription_link(subscription, variant_text(subscription.variant)),
        "billing": billing_text(subscription.variant),
        "badges": list(badges_of(subscription)),
        "ends": instant_shown(subscription.ended_at or subscription.current_period_end),
        "is_over": subscription.ended_at is not None,
        "due": instant_shown(subscription.next_due_at),
    }


def _has_none_live(customer: Customer) -> bool:
    """Of subscriptions to price plans there may be several."""
    return not any(
        each.status in LIVE_STATES and each.holds_credits for each in subscriptions_on_page(customer)
    )


def _subscribe(act: Act) -> Outcome:
    return _subscribed(act, act.data["variant_id"])


def _subscribe_to_price_plan(act: Act) -> Outcome:
    return _subscribed(act, act.data["price_plan"])


def _subscribed(act: Act, offer: Offer) -> Outcome:
    before_mc = credits_at(act.customer, act.now).balance_mc
    made = subscription_create(
        caller=act.caller,
        customer=act.customer,
        offer=offer,
        invoices_automatically=act.data.get("invoices_automatically", False),
        start_date=act.data["start_date"],
        contract_end=act.data["contract_end"],
        contract_ending_soon_days=act.data["contract_ending_soon_days"],
        external_subscription_id=act.data["external_subscription_id"] or None,
        reason=act.data["reason"],
        now=act.now,
    )
    subscription = made.subscription
    after: Standing = standing_at(subscription, act.now)
    return Outcome(
        message=f"{act.customer.label} is subscribed to {variant_text(subscription.variant)}.",
        effect_id=subscription.id,
        url=record_url(Subscription, subscription.public_id),
        changes=[
            *standing_changes(None, after)[:-1],
            balance_change(before_mc, after.credits.balance_mc),
        ],
        notes=tuple(_notes(made)),
    )


def _notes(made: Made) -> Iterator[str]:
    if made.subscription.holds_credits:
        yield f"{credits_text(made.credits_granted_mc)} credits are granted."
    account = CreditAccount.objects.get(customer_id=made.subscription.customer_id)
    yield from (warning["message"] for warning in customer_priced_twice(account))


panel_register(
    CustomerPanel(
        key="subscriptions",
        title="Subscriptions",
        order=5,
        permission="subscriptions.view_subscription",
        render=_panel,
    )
)
action_register(
    CustomerAction(
        slug="subscribe",
        label="Subscribe",
        title="Subscribe to a plan",
        submit="Subscribe",
        icon="event_repeat",
        order=30,
        permission="subscriptions.add_subscription",
        form=SubscribeForm,
        perform=_subscribe,
        intro="Its first period begins, and its credits are granted. A customer has one live subscription at a time.",
        offered=_has_none_live,
    )
)
action_register(
    CustomerAction(
        slug="subscribe-to-price-plan",
        label="Subscribe to a price plan",
        title="Subscribe to a price plan",
        submit="Subscribe",
        icon="request_quote",
        order=31,
        permission="subscriptions.add_subscription",
        form=SubscribeToPricePlanForm,
        perform=_subscribe_to_price_plan,
        intro="Its usage is billed in money, beside the credits they have. A customer may have several of these.",
    )
)
