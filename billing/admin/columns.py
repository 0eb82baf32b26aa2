"""What billing adds to the customer list: the balance, and a filter by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from billing.selectors.overview import low_balances, overdrawn
from billing.services.reads import balances_of
from customers.admin.customer_panels import CustomerColumn, CustomerFilter, column_register, filter_register
from customers.admin.requests import environment_of, of_admin
from customers.models import Customer


class BalanceFilter(SimpleListFilter):
    title = "balance"
    parameter_name = "balance"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("low", "Low or spent"),
            ("overdrawn", "In overdraft"),
            ("positive", "Above zero"),
            ("none", "Never had any"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Customer]) -> QuerySet[Customer]:
        if self.value() == "low":
            return queryset & low_balances()
        if self.value() == "overdrawn":
            return queryset & overdrawn()
        if self.value() == "positive":
            return queryset.filter(credit_account__balance_mc__gt=0)
        return queryset.filter(credit_account__isnull=True) if self.value() == "none" else queryset


def _balances(request: HttpRequest, ids: Iterable[UUID]) -> Mapping[UUID, object]:
    environment = environment_of(request)
    if environment is None:
        return {}
    found = balances_of(environment_id=environment.id, customer_ids=ids, now=of_admin(request).now)
    return {key: balance.balance_mc for key, balance in found.items()}


column_register(
    CustomerColumn(key="balance", title="Balance (credits)", order=10, load=_balances, is_amount=True)
)
filter_register(CustomerFilter(order=10, filter_class=BalanceFilter))
