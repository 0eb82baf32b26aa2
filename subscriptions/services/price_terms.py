"""Which version of a price plan holds for a subscription, from when until when: what its usage and fees are rated by.

The terms of a subscription tile its life wherever its variant has a price plan: they neither overlap nor leave a gap.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from subscriptions.models import PriceTerm, Subscription

#: The smallest step of time.
_JUST_AFTER: Final = timedelta(microseconds=1)


def terms_of(subscription: Subscription) -> list[PriceTerm]:
    """All of them, in order, with their versions and price plans."""
    terms = PriceTerm.objects.filter(subscription_id=subscription.id)
    return list(terms.select_related("version__price_plan").order_by("starts_at"))


def terms_follow(subscription: Subscription, *, at: datetime, prorates: bool = True, now: datetime) -> None:
    """From `at` on, what the subscription's variant says holds; nothing changes where it held before.

    With `prorates` fees are shared by the second between the terms of the period that `at` lies in; without, the term
    before keeps that period's fees, and those of the new one begin with the next period.
    """
    version = subscription.variant.price_plan_version
    held = _open_term(subscription)
    if held is not None and held.version == version:
        return
    if held is not None:
        # Calls of one moment do not come in the order of their instants.
        at = max(at, held.starts_at)
    if held is not None and _took_no_time(held, at):
        before = _term_before(held)
        held.delete()
        if before is not None and before.version == version:
            _reopen(before)
            return
        prorates = prorates or before is None
    elif held is not None:
        at = at if held.starts_at < at or version is None else held.starts_at + _JUST_AFTER
        term_end(subscription, at=at)
    if version is not None:
        PriceTerm.objects.create(
            environment_id=subscription.environment_id,
            subscription=subscription,
            version=version,
            starts_at=at,
            prorates=prorates,
            created_at=now,
        )


def term_end(subscription: Subscription, *, at: datetime) -> None:
    """Nothing holds from `at` on."""
    held = _open_term(subscription)
    if held is not None:
        held.ends_at = max(at, held.starts_at)
        held.save(update_fields=["ends_at"])


def _open_term(subscription: Subscription) -> PriceTerm | None:
    terms = PriceTerm.objects.filter(subscription_id=subscription.id, ends_at=None)
    return terms.select_related("version").first()


def _took_no_time(held: PriceTerm, at: datetime) -> bool:
    """Two changes at one instant: the second one is the one that was meant, unless the first was billed already."""
    return held.starts_at == at and not held.charge_series.exists()


def _term_before(held: PriceTerm) -> PriceTerm | None:
    """Without one there is nobody who could keep the period's fees."""
    terms = PriceTerm.objects.filter(subscription_id=held.subscription_id, ends_at=held.starts_at)
    return terms.exclude(id=held.id).select_related("version").first()


def _reopen(term: PriceTerm) -> None:
    """What was changed and changed back at one instant was never changed."""
    term.ends_at = None
    term.save(update_fields=["ends_at"])
