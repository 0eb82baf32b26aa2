"""What people do to a subscription: the API's services, with what they do shown before it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django import forms
from django.utils.safestring import SafeString

from billing.admin.invoice_text import period_text
from billing.engine.money import money_text
from billing.services.reads import Credits, credits_read
from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Change, Outcome
from customers.admin.display import NOTHING, badge, credits_shown, credits_text, instant_shown
from customers.admin.records import record_url
from customers.kernel.caller import Caller
from customers.models import Customer
from subscriptions.admin.subscription_forms import (
    CancelForm,
    ChangeForm,
    ChangePricePlanForm,
    ExtendForm,
    PauseForm,
    RenewForm,
)
from subscriptions.admin.subscription_text import state_badge, variant_text
from subscriptions.engine.transitions import actions_allowed
from subscriptions.models import LIVE_STATES, Subscription, SubscriptionState
from subscriptions.services import locking
from subscriptions.services.actions import (
    subscription_cancel,
    subscription_pause,
    subscription_resume,
    subscription_uncancel,
)
from subscriptions.services.billing_automatic import invoices_retry
from subscriptions.services.changes import subscription_change
from subscriptions.services.contracts import subscription_extend
from subscriptions.services.renewals import subscription_renew
from subscriptions.services.subscriptions import subscription_get, subscription_retry

#: Support acts on what customers have.
CHANGE: Final = "subscriptions.change_subscription"
#: Shown even where they stay as they are.
_ALWAYS: Final = ("Status", "Period ends", "Balance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Somebody doing something to a subscription."""

    caller: Caller
    subscription: Subscription
    data: Mapping[str, Any]
    idempotency_key: str
    now: datetime

    @property
    def named(self) -> dict[str, Any]:
        """What every service asks for."""
        return {"caller": self.caller, "subscription_id": self.subscription.id, "now": self.now}


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionAction:
    """A button on the page that opens a dialog, and what it does: `perform` runs for the preview too."""

    slug: str
    label: str
    title: str
    submit: str
    icon: str
    perform: Callable[[Act], locking.Outcome]
    offered: Callable[[Subscription], bool]
    done: str
    form: Callable[..., forms.Form] = ReasonForm
    intro: str = ""
    tone: str = "plain"
    permission: str = CHANGE


@dataclass(frozen=True, slots=True)
class Standing:
    """A subscription and its customer's credits at one instant, as a preview compares them."""

    lines: Mapping[str, str | SafeString]
    credits: Credits


def actions_offered(subscription: Subscription) -> list[SubscriptionAction]:
    """What can be asked of it as it stands, in the order of its buttons."""
    return [action for action in ACTIONS.values() if action.offered(subscription)]


def acted(action: SubscriptionAction, act: Act) -> Outcome:
    """Do it, and say what it did."""
    before = _standing_of(act)
    outcome = action.perform(act)
    after = _standing_of(act)
    subscription = outcome.subscription
    return Outcome(
        message=f"{action.done} {subscription.customer.label}.",
        effect_id=subscription.id,
        url=record_url(Subscription, subscription.public_id),
        changes=standing_changes(before, after),
        notes=tuple(_notes(action.slug, outcome)),
    )


def standing_changes(before: Standing | None, after: Standing) -> list[Change]:
    """What is different afterwards, and beside it what one looks for; without `before` all of it is new."""
    old: Mapping[str, Any] = before.lines if before else {}
    changes = [
        Change(label=label, before=old.get(label, "") if old.get(label) != value else "", after=value)
        for label, value in after.lines.items()
        if (label in _ALWAYS or old.get(label) != value) and (before or value != NOTHING)
    ]
    was_mc = before.credits.balance_mc if before else after.credits.balance_mc
    return [*changes, balance_change(was_mc, after.credits.balance_mc)]


def balance_change(before_mc: int, after_mc: int) -> Change:
    if before_mc == after_mc:
        return Change(label="Balance", before="", after=credits_shown(after_mc))
    return Change(
        label="Balance",
        before=credits_shown(before_mc),
        after=credits_shown(after_mc),
        difference=credits_shown(after_mc - before_mc, signed=True),
    )


def credits_at(customer: Customer, now: datetime) -> Credits:
    """The customer's credits; whatever was due on them, and on their subscriptions, is done first."""
    return credits_read(
        environment_id=customer.environment_id, by="id", reference=customer.public_id, now=now
    )


def standing_at(subscription: Subscription, now: datetime) -> Standing:
    """As it stands at `now`, read anew."""
    credits = credits_at(subscription.customer, now)
    found = subscription_get(environment_id=subscription.environment_id, subscription_id=subscription.id)
    return Standing(_lines(found), credits)


def _standing_of(act: Act) -> Standing:
    return standing_at(act.subscription, act.now)


def _lines(subscription: Subscription) -> dict[str, str | SafeString]:
    planned = subscription.pending_variant
    return {
        "Status": state_badge(subscription.status),
        "Plan": variant_text(subscription.variant),
        "Period starts": instant_shown(subscription.current_period_start),
        "Period ends": instant_shown(subscription.current_period_end),
        "Next period": badge("Renewed", "good") if subscription.is_renewed else NOTHING,
        "Planned plan": variant_text(planned) if planned else NOTHING,
        "Ends with its period": "yes" if subscription.cancel_at_period_end else NOTHING,
        "Resumes": instant_shown(subscription.resumes_at),
        "Contract ends": instant_shown(subscription.contract_end),
        "Due next": instant_shown(subscription.next_due_at),
        "Due work": badge("Parked", "bad") if subscription.failed_at else NOTHING,
    }


def _notes(slug: str, outcome: locking.Outcome) -> Iterator[str]:
    """What the lines do not say."""
    subscription = outcome.subscription
    if outcome.credits_granted_mc:
        yield f"{credits_text(outcome.credits_granted_mc)} credits are granted."
    if slug == "renew" and subscription.is_renewed:
        yield "The next period's credits are granted when it begins."
    if slug == "retry-invoice":
        yield from _invoices(outcome)
    if slug == "pause":
        yield "Usage is refused while it is paused. Resuming shifts the period's end by the pause."
    if slug in {"change", "cancel"} and not outcome.credits_granted_mc and subscription.status in LIVE_STATES:
        yield "No credits are taken back or granted now."
    if subscription.status == SubscriptionState.CANCELED:
        yield "Granted credits live to their own expiry."
        yield from _follower(subscription)


def _invoices(outcome: locking.Outcome) -> Iterator[str]:
    for invoice in outcome.invoices:
        total = money_text(invoice.total_minor, invoice.currency)
        yield f"An invoice of {total} for {period_text(invoice)}, issued now."
    if not outcome.invoices:
        yield "Another invoice has billed it since; nothing is made."


def _follower(subscription: Subscription) -> Iterator[str]:
    found = Subscription.objects.filter(follows_id=subscription.id).select_related("variant__plan").first()
    if found is not None:
        yield f"{variant_text(found.variant)} takes its place at once."


# --- The deeds


def _renew(act: Act) -> locking.Outcome:
    return subscription_renew(
        **act.named,
        external_payment_id=act.data["external_payment_id"] or None,
        reason=act.data["reason"],
        idempotency_key=act.idempotency_key,
    )


def _pause(act: Act) -> locking.Outcome:
    return subscription_pause(**act.named, resumes_at=act.data["resumes_at"], reason=act.data["reason"])


def _resume(act: Act) -> locking.Outcome:
    return subscription_resume(**act.named, reason=act.data["reason"])


def _change(act: Act) -> locking.Outcome:
    return subscription_change(
        **act.named,
        offer=act.data["variant_id"],
        effective=act.data["effective"],
        reason=act.data["reason"],
    )


def _change_price_plan(act: Act) -> locking.Outcome:
    return subscription_change(
        **act.named,
        offer=act.data["price_plan"],
        effective=act.data["effective"],
        prorate=act.data["prorate"],
        reason=act.data["reason"],
    )


def _cancel(act: Act) -> locking.Outcome:
    return subscription_cancel(
        **act.named, immediately=act.data.get("when", "now") == "now", reason=act.data["reason"]
    )


def _uncancel(act: Act) -> locking.Outcome:
    return subscription_uncancel(**act.named, reason=act.data["reason"])


def _extend(act: Act) -> locking.Outcome:
    return subscription_extend(**act.named, contract_end=act.data["contract_end"], reason=act.data["reason"])


def _retry(act: Act) -> locking.Outcome:
    return subscription_retry(**act.named, reason=act.data["reason"])


def _retry_invoice(act: Act) -> locking.Outcome:
    customer = act.subscription.customer
    made = invoices_retry(caller=act.caller, customer=customer, reason=act.data["reason"], now=act.now)
    found = subscription_get(environment_id=act.caller.environment_id, subscription_id=act.subscription.id)
    return locking.Outcome(subscription=found, invoices=made)


# --- When they are offered


def _takes(subscription: Subscription, *actions: str) -> bool:
    return any(action in actions_allowed(subscription.status) for action in actions)


def _is_parked(subscription: Subscription) -> bool:
    return subscription.failed_at is not None


def _is_not_invoiced(subscription: Subscription) -> bool:
    return bool(getattr(subscription, "failed_invoice", None))


def _can_be_renewed(subscription: Subscription) -> bool:
    is_open = subscription.variant.is_prepaid and not subscription.is_renewed
    return is_open and _takes(subscription, "renew")


def _can_end_later(subscription: Subscription) -> bool:
    """Whether there is a choice between now and the end of its period, none being made yet."""
    is_running = subscription.status != SubscriptionState.OVERDUE
    return is_running and _takes(subscription, "cancel") and not subscription.cancel_at_period_end


def _can_only_end_now(subscription: Subscription) -> bool:
    return _takes(subscription, "cancel_now") and not _can_end_later(subscription)


_BUTTONS: Sequence[SubscriptionAction] = (
    SubscriptionAction(
        slug="retry",
        label="Retry",
        title="Retry what is due",
        submit="Retry",
        icon="replay",
        perform=_retry,
        offered=_is_parked,
        done="Everything due is done for",
        intro="Does the due work again that failed. If it fails again, nothing is changed and the reason is shown.",
        tone="primary",
    ),
    SubscriptionAction(
        slug="retry-invoice",
        label="Invoice again",
        title="Try again to make the invoice",
        submit="Make the invoice",
        icon="request_quote",
        perform=_retry_invoice,
        offered=_is_not_invoiced,
        done="Tried again to invoice",
        intro="All that was to be invoiced by itself up to that period's end. If it fails again, the reason is shown.",
        tone="primary",
        permission="billing.change_invoice",
    ),
    SubscriptionAction(
        slug="renew",
        label="Renew",
        title="Renew for one period",
        submit="Renew",
        icon="autorenew",
        perform=_renew,
        offered=_can_be_renewed,
        done="Renewed the subscription of",
        form=RenewForm,
        intro="The next period begins where this one ends. An overdue one goes on at once, from where it ended.",
        tone="primary",
    ),
    SubscriptionAction(
        slug="resume",
        label="Resume",
        title="Resume the subscription",
        submit="Resume",
        icon="play_arrow",
        perform=_resume,
        offered=lambda subscription: _takes(subscription, "resume"),
        done="Resumed the subscription of",
        intro="Its time goes on from where it stood still.",
        tone="primary",
    ),
    SubscriptionAction(
        slug="pause",
        label="Pause",
        title="Pause the subscription",
        submit="Pause",
        icon="pause",
        perform=_pause,
        offered=lambda subscription: _takes(subscription, "pause"),
        done="Paused the subscription of",
        form=PauseForm,
        intro="Its period and its grants stand still, and usage is refused.",
    ),
    SubscriptionAction(
        slug="change",
        label="Change plan",
        title="Change to another variant",
        submit="Change plan",
        icon="swap_horiz",
        perform=_change,
        offered=lambda subscription: subscription.holds_credits and _takes(subscription, "change"),
        done="Changed the plan of",
        form=ChangeForm,
        intro="Credits are never taken back. To take a planned change back, choose the present variant.",
    ),
    SubscriptionAction(
        slug="change-price-plan",
        label="Change price plan",
        title="Change to another price plan",
        submit="Change price plan",
        icon="swap_horiz",
        perform=_change_price_plan,
        offered=lambda subscription: not subscription.holds_credits and _takes(subscription, "change"),
        done="Changed the price plan of",
        form=ChangePricePlanForm,
        intro="To take a planned change back, choose the present price plan with its present version.",
    ),
    SubscriptionAction(
        slug="extend",
        label="Extend contract",
        title="Extend the contract",
        submit="Extend",
        icon="event_upcoming",
        perform=_extend,
        offered=lambda subscription: _takes(subscription, "extend"),
        done="Extended the contract of",
        form=ExtendForm,
        intro="A contract that has ended begins anew with a period from now.",
    ),
    SubscriptionAction(
        slug="uncancel",
        label="Uncancel",
        title="Take the cancellation back",
        submit="Uncancel",
        icon="undo",
        perform=_uncancel,
        offered=lambda subscription: _takes(subscription, "uncancel") and subscription.cancel_at_period_end,
        done="Took the cancellation back for",
    ),
    SubscriptionAction(
        slug="cancel",
        label="Cancel",
        title="Cancel the subscription",
        submit="Cancel subscription",
        icon="cancel",
        perform=_cancel,
        offered=_can_end_later,
        done="Canceled the subscription of",
        form=CancelForm,
        intro="Granted credits live to their own expiry.",
        tone="danger",
    ),
    SubscriptionAction(
        slug="cancel-now",
        label="Cancel now",
        title="Cancel the subscription now",
        submit="Cancel subscription",
        icon="cancel",
        perform=_cancel,
        offered=_can_only_end_now,
        done="Canceled the subscription of",
        intro="It ends at once. Granted credits live to their own expiry.",
        tone="danger",
    ),
)
ACTIONS: Final[Mapping[str, SubscriptionAction]] = {action.slug: action for action in _BUTTONS}
