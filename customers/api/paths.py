"""How URLs name a customer: `/v1/customers/{id}…` and `/v1/customer-by-external-id/{external_id}…`.

Servers hand over decoded paths, so an id may hold slashes and colons. Hence the known end of a path is matched from the
right and the id is all that is left; the route without an end comes last of all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from django.http import HttpResponseBase
from django.urls import URLPattern, path, register_converter

from customers.errors import AmbiguousCustomer
from customers.services.customers import By


class CustomerReference:
    """Any text, slashes included."""

    regex = r"[\s\S]+"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(CustomerReference, "customer_ref")

_FORMS: tuple[tuple[str, Literal["id", "external"], str], ...] = (
    ("v1/customers", "id", ""),
    ("v1/customer-by-external-id", "external", "-by-external-id"),
)


def customer_paths(suffix: str, view: Callable[..., HttpResponseBase], *, name: str) -> list[URLPattern]:
    """Both forms of a customer's URL; the view gets `by` ("id" or "external") and `reference`."""
    end = f"/{suffix}" if suffix else ""
    return [
        path(f"{start}/<customer_ref:reference>{end}", view, {"by": by}, name=name + ending)
        for start, by, ending in _FORMS
    ]


def customer_named(customer_id: str | None, external_customer_id: str | None) -> tuple[By, str]:
    """`by` and `reference` of a body that must name its customer by exactly one of the two."""
    if customer_id is not None and external_customer_id is None:
        return "id", customer_id
    if external_customer_id is not None and customer_id is None:
        return "external", external_customer_id
    raise AmbiguousCustomer(
        "The body names the customer twice." if customer_id is not None else "The body names no customer."
    )


def customer_named_in(data: dict[str, Any]) -> tuple[By, str]:
    """The same for a serializer's validated data."""
    return customer_named(data.get("customer_id"), data.get("external_customer_id"))
