"""Narrow the list of subscriptions: by state, by what is due when, by plan, to the parked ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from customers.admin.requests import of_admin
from customers.kernel.ids import typeid_parse
from subscriptions.models import LIVE_STATES, Plan, Subscription, SubscriptionState
from subscriptions.selectors.failed_invoices import periods_not_invoiced

_LIVE: Final = "live"
#: Plans offered as a choice; a plan's own page leads to its subscriptions however many there are.
_PLANS_MAX: Final = 200
_AHEAD: Final = {"day": timedelta(days=1), "week": timedelta(days=7)}


class StateFilter(SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(_LIVE, "Live"), *((str(value), str(label)) for value, label in SubscriptionState.choices)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        if self.value() == _LIVE:
            return queryset.filter(status__in=LIVE_STATES)
        return queryset.filter(status=self.value()) if self.value() else queryset


class DueFilter(SimpleListFilter):
    """Parked ones are out of it: nothing of theirs is done until somebody asks."""

    title = "what is due"
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("late", "Late: due and not done yet"), ("day", "Within a day"), ("week", "Within a week")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        now = of_admin(request).now
        if self.value() == "late":
            return queryset.filter(next_due_at__lte=now, failed_at__isnull=True)
        ahead = _AHEAD.get(self.value() or "")
        if ahead is None:
            return queryset
        return queryset.filter(next_due_at__gt=now, next_due_at__lte=now + ahead, failed_at__isnull=True)


class PlanFilter(SimpleListFilter):
    title = "plan"
    parameter_name = "plan"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        plans = Plan.objects.order_by("name").only("name")[:_PLANS_MAX]
        return [(plan.public_id, plan.name) for plan in plans]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        if not self.value():
            return queryset
        plan_id = typeid_parse("plan", self.value() or "")
        return queryset.filter(variant__plan_id=plan_id) if plan_id else queryset.none()


class InvoiceFilter(SimpleListFilter):
    title = "invoices"
    parameter_name = "invoice"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("failed", "Not invoiced: it could not be made")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        if self.value() != "failed":
            return queryset
        return queryset.filter(id__in=periods_not_invoiced().values("subscription_id"))


class ParkedFilter(SimpleListFilter):
    title = "parked"
    parameter_name = "parked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Parked: due work failed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Subscription]) -> QuerySet[Subscription]:
        return queryset.filter(failed_at__isnull=False) if self.value() == "yes" else queryset
