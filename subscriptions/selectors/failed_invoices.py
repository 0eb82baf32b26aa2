"""Periods that were to be invoiced by themselves and could not be."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery

from subscriptions.models import Subscription, SubscriptionPeriod


def periods_not_invoiced() -> QuerySet[SubscriptionPeriod]:
    return SubscriptionPeriod.objects.exclude(invoice_failure="")


def with_failed_invoice(subscriptions: QuerySet[Subscription]) -> QuerySet[Subscription]:
    """Each with `failed_invoice`: why the invoice of its last such period could not be made, or None."""
    failed = periods_not_invoiced().filter(subscription_id=OuterRef("pk")).order_by("-starts_at")
    annotated: QuerySet[Subscription] = subscriptions.annotate(
        failed_invoice=Subquery(failed.values("invoice_failure")[:1])
    )
    return annotated
