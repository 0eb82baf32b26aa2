"""Subscriptions in words and colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from uuid import UUID

from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.admin.display import badge, credits_text, link
from customers.admin.records import record_url
from customers.kernel.ids import typeid_parse
from customers.kernel.instants import instant_parse
from subscriptions.admin.price_plan_text import price_plan_link
from subscriptions.models import PlanVariant, Subscription, SubscriptionChange, SubscriptionState

_STATE_TONES: Final = {
    SubscriptionState.TRIALING: "info",
    SubscriptionState.ACTIVE: "good",
    SubscriptionState.OVERDUE: "warning",
    SubscriptionState.PAUSED: "neutral",
    SubscriptionState.EXPIRED: "bad",
    SubscriptionState.CANCELED: "neutral",
    SubscriptionState.CONTRACT_ENDED: "neutral",
}
_CHANGE_TONES: Final = {
    "created": "good",
    "renewed": "good",
    "resumed": "good",
    "uncanceled": "good",
    "extended": "good",
    "overdue": "warning",
    "cancel_planned": "warning",
    "canceled": "bad",
    "expired": "bad",
    "contract_ended": "bad",
}
#: What engine/due.py calls them.
_DUE_TEXTS: Final = {
    "contract_ending_soon": "The webhook that the contract ends soon",
    "trial_ending": "The webhook that the trial ends soon",
    "renewal_due": "Can be renewed from then on, and a webhook says so",
    "contract_end": "The contract ends",
    "resume": "Resumes",
    "trial_end": "The trial ends",
    "cancel_due": "Ends with its period, as planned",
    "advance": "The next period begins",
    "overdue": "Becomes overdue, unless it is renewed before",
    "expire": "Expires, unless it is renewed before",
}
#: Of a change's details, those that name a variant.
_NAMES_A_VARIANT: Final = ("previous_plan_variant_id", "pending_plan_variant_id")


def state_badge(state: str) -> SafeString:
    return badge(SubscriptionState(state).label, _STATE_TONES[SubscriptionState(state)])


def badges_of(subscription: Subscription) -> Iterator[SafeString]:
    """Its state, and what one must not overlook beside it."""
    yield state_badge(subscription.status)
    if subscription.failed_at is not None:
        yield badge("Parked", "bad")
    if getattr(subscription, "failed_invoice", None):
        yield badge("Not invoiced", "bad")
    if subscription.cancel_at_period_end and subscription.ended_at is None:
        yield badge("Ends with its period", "warning")


def variant_text(variant: PlanVariant) -> str:
    """`API Platform · Monthly v2`, or `Growth v2` for a price plan by itself."""
    version = variant.price_plan_version
    if version is not None and variant.is_price_plan:
        return f"{version.price_plan.name} v{version.version}"
    return f"{variant.plan.name} · {variant}"


def variant_link(variant: PlanVariant) -> SafeString:
    version = variant.price_plan_version
    if version is not None and variant.is_price_plan:
        return price_plan_link(version)
    return link(record_url(PlanVariant, variant.public_id), variant_text(variant))


def subscription_link(subscription: Subscription, text: object) -> SafeString:
    return link(record_url(Subscription, subscription.public_id), text)


def due_text(kind: str, subscription: Subscription) -> str:
    text = _DUE_TEXTS[kind]
    planned = subscription.pending_variant
    return f"{text}, on {variant_text(planned)}" if kind == "advance" and planned else text


def change_badge(change: SubscriptionChange) -> SafeString:
    return badge(change.what.replace("_", " ").capitalize(), _CHANGE_TONES.get(change.what, "neutral"))


def change_states(change: SubscriptionChange) -> SafeString:
    """`Active → Paused`, or the state alone when it stayed."""
    after = SubscriptionState(change.status_after).label
    if change.status_before in {"", change.status_after}:
        return format_html('<span class="p-keep">{}</span>', after)
    before = SubscriptionState(change.status_before).label
    return format_html('<span class="p-keep">{} → {}</span>', before, after)


def variants_named(changes: Iterable[SubscriptionChange]) -> Mapping[UUID, PlanVariant]:
    """The variants that these changes name, in one query or none."""
    named = (change.details.get(name) for change in changes for name in _NAMES_A_VARIANT)
    ids = {key for text in named if text and (key := typeid_parse("pvr", text))}
    variants = PlanVariant.objects.select_related("plan", "price_plan_version__price_plan")
    return variants.in_bulk(ids) if ids else {}


def change_notes(change: SubscriptionChange, variants: Mapping[UUID, PlanVariant]) -> Iterator[str]:
    """What its details say that the rest of the line does not."""
    details: Mapping[str, Any] = change.details
    if change.what == "changed":
        yield from _variants_changed(details, variants)
    if given := details.get("credits_granted"):
        yield f"{credits_text(given)} credits granted"
    for name, label in _DATES.items():
        if said := details.get(name):
            yield f"{label} {_date(said)}"
    if summary := details.get("usage_summary"):
        yield f"{credits_text(summary['total_credits_consumed'])} credits used in the period before"
    if payment := details.get("external_payment_id"):
        yield f"payment {payment}"


_DATES: Final = {
    "contract_end": "contract until",
    "trial_ends_at": "trial until",
    "renew_by": "renew by",
    "period_start": "paid for the period from",
    "resumes_at": "until",
}


def _variants_changed(details: Mapping[str, Any], variants: Mapping[UUID, PlanVariant]) -> Iterator[str]:
    def named(name: str) -> str:
        if price_plan := details.get(name.replace("_plan_variant_id", "_price_plan_id")):
            version = details.get(name.replace("_plan_variant_id", "_price_plan_version"))
            if not details.get(name):
                return f"{price_plan} v{version}"
        key = typeid_parse("pvr", details.get(name) or "")
        variant = variants.get(key) if key else None
        return variant_text(variant) if variant else "–"

    if details.get("effective") == "immediate":
        yield f"from {named('previous_plan_variant_id')}, at once"
    elif details.get("pending_plan_variant_id") or details.get("pending_price_plan_id"):
        yield f"to {named('pending_plan_variant_id')} with the next period"
    else:
        yield "the planned change was taken back"


def _date(text: str) -> str:
    instant = instant_parse(text)
    return f"{instant:%Y-%m-%d %H:%M} UTC" if instant else text
