"""What Ctrl-K finds: the object with this id, customers by any of their names, what a request did, and lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from django.contrib import admin
from django.http import HttpRequest
from unfold.dataclasses import SearchResult

from config.palette_requests import request_results
from customers.admin.records import RecordAdmin, record_url
from customers.admin.requests import environment_of
from customers.kernel.ids import typeid_parse
from customers.models import Customer
from customers.selectors.customers import customers_search
from subscriptions.models import CreditGrantTemplate, PlanVariant

#: How many customers are shown; whoever is not among them takes another letter.
_FOUND_MAX: Final = 12


def palette_results(request: HttpRequest, term: str) -> list[SearchResult]:
    """In the environment in view, as far as this person may see."""
    named = [*_objects(request, term), *_parts(request, term), *_customers(request, term)]
    return [*named, *(() if named else request_results(request, term)), *_lists(request, term)]


def _objects(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    prefix = term.partition("_")[0]
    for model, model_admin in admin.site._registry.items():
        if not isinstance(model_admin, RecordAdmin) or model_admin.id_prefix != prefix:
            continue
        found = model_admin.get_object(request, term) if model_admin.has_view_permission(request) else None
        if found is not None:
            kind = str(model._meta.verbose_name)
            yield SearchResult(
                title=term, description=kind, link=record_url(model, term), icon=model_admin.icon
            )


def _parts(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    """What has no page of its own, on the page of what it belongs to."""
    grant_id = typeid_parse("cgt", term)
    if grant_id is None or not request.user.has_perm("subscriptions.view_planvariant"):
        return
    grant = CreditGrantTemplate.objects.select_related("variant").filter(pk=grant_id).first()
    if grant is not None:
        yield SearchResult(
            title=term,
            description="credit grant",
            link=record_url(PlanVariant, grant.variant.public_id),
            icon="redeem",
        )


def _customers(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    environment = environment_of(request)
    if environment is None or not request.user.has_perm("customers.view_customer"):
        return
    ids = customers_search(environment_id=environment.id, query=term, include_deleted=True, limit=_FOUND_MAX)
    found = Customer.objects.in_bulk(ids)
    for customer in (found[key] for key in ids if key in found):
        second = customer.external_id or customer.email or customer.public_id
        yield SearchResult(
            title=customer.label,
            description=f"customer {second}{' (deleted)' if customer.deleted_at else ''}",
            link=record_url(Customer, customer.pk),
            icon="person",
        )


def _lists(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    for app in admin.site.get_app_list(request):
        for model in app["models"]:
            name = str(model["name"])
            if term.lower() in name.lower():
                yield SearchResult(title=name, description="List", link=model["admin_url"], icon="list")
