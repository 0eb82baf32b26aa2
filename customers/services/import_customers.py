"""Rows that are customers: new ones are made, those that are there are changed; an empty cell changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from customers.errors import DomainError, ImportRowStays
from customers.kernel.caller import Caller
from customers.models import Customer, RowOutcome
from customers.services.customers import (
    customer_create,
    customer_delete,
    customer_find_id,
    customer_update,
)
from customers.services.import_cells import read_decimal, read_object, read_text, read_whole
from customers.services.import_kinds import Effect, ImportField, ImportKind, Reversed, RowWish, each_alone

#: Why a customer that was imported must stay, or None.
Tie = Callable[[UUID], str | None]
_ties: Final[list[Tie]] = []


def customer_tie_register(tie: Tie) -> None:
    """Higher apps know what a customer has of them, and keep it from being taken back."""
    _ties.append(tie)


def _bring(caller: Caller, wishes: Sequence[RowWish], now: datetime) -> list[Effect | DomainError]:
    return each_alone(wishes, lambda wish: _customer(caller, wish.values, now))


def _customer(caller: Caller, values: Mapping[str, Any], now: datetime) -> Effect:
    present = _present(caller.environment_id, values)
    attributes = {name: value for name, value in values.items() if name not in {"id", "external_id"}}
    if present is not None:
        return _changed(caller, present, attributes, values, now)
    made = customer_create(
        caller=caller,
        public_id=values.get("id"),
        external_id=values.get("external_id"),
        attributes=attributes,
        now=now,
    )
    return _effect(RowOutcome.MADE, made, {})


def _present(environment_id: UUID, values: Mapping[str, Any]) -> Customer | None:
    """The living customer that the row names: by its id, or else by its external id."""
    by = "id" if "id" in values else "external"
    reference = values["id"] if by == "id" else values["external_id"]
    found = customer_find_id(
        environment_id=environment_id, by="id" if by == "id" else "external", reference=reference
    )
    return Customer.objects.filter(id=found, deleted_at__isnull=True).first() if found else None


def _changed(
    caller: Caller,
    customer: Customer,
    attributes: dict[str, Any],
    values: Mapping[str, Any],
    now: datetime,
) -> Effect:
    if "external_id" in values:
        attributes["external_id"] = values["external_id"]
    changes = {
        name: [_kept(getattr(customer, name)), _kept(value)]
        for name, value in attributes.items()
        if getattr(customer, name) != value
    }
    if not changes:
        return _effect(RowOutcome.UNCHANGED, customer, {})
    customer_update(caller=caller, customer_id=customer.id, attributes=attributes, reason="Imported", now=now)
    return _effect(RowOutcome.CHANGED, customer, {"changes": changes})


def _effect(outcome: RowOutcome, customer: Customer, details: dict[str, Any]) -> Effect:
    return Effect(
        outcome=outcome,
        object_type="customer",
        object_id=customer.id,
        label=customer.external_id or customer.public_id,
        details=details,
    )


def _take_back(caller: Caller, effect: Effect, reason: str, now: datetime) -> Reversed:
    customer = Customer.objects.get(id=effect.object_id)
    if customer.deleted_at is not None:
        raise ImportRowStays("The customer was deleted since.")
    if effect.outcome == RowOutcome.CHANGED:
        return _put_back(caller, customer, effect.details["changes"], reason, now)
    if customer.updated_at != customer.created_at:
        raise ImportRowStays("The customer was changed since.")
    for tie in _ties:
        why = tie(customer.id)
        if why is not None:
            raise ImportRowStays(why)
    customer_delete(caller=caller, customer_id=customer.id, reason=reason, now=now)
    return Reversed()


def _put_back(
    caller: Caller, customer: Customer, changes: Mapping[str, Sequence[Any]], reason: str, now: datetime
) -> Reversed:
    moved = [name for name, (_, after) in changes.items() if _kept(getattr(customer, name)) != after]
    if moved:
        raise ImportRowStays(f"Changed since: {', '.join(moved)}.")
    before = {name: _unkept(name, value) for name, (value, _) in changes.items()}
    customer_update(caller=caller, customer_id=customer.id, attributes=before, reason=reason, now=now)
    return Reversed(note="Has its former values again.")


def _kept(value: Any) -> Any:
    # JSON has no exact decimals but texts.
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def _unkept(name: str, value: Any) -> Any:
    return Decimal(value) if name == "tax_rate" and value is not None else value


def _identity(values: Mapping[str, Any]) -> str | None:
    if "id" in values:
        return f"id:{values['id']}"
    return f"external:{values['external_id']}" if "external_id" in values else None


_MC: Final = "In mc: 1 credit is 1000."

CUSTOMERS: Final = ImportKind(
    name="customers",
    title="Customers",
    intro="A row makes a customer, or changes the one that is there; an empty cell changes nothing.",
    resource="customers",
    fields=(
        ImportField(
            name="external_id",
            label="External id",
            read=read_text,
            aliases=("external_customer_id", "customer_external_id", "reference", "customer"),
            hint="The id in your own system.",
        ),
        ImportField(name="id", label="Id", read=read_text, aliases=("customer_id", "public_id")),
        ImportField(
            name="display_name", label="Display name", read=read_text, aliases=("customer_name", "label")
        ),
        ImportField(
            name="name", label="Legal name", read=read_text, aliases=("legal_name", "company", "company_name")
        ),
        ImportField(
            name="email", label="E-mail", read=read_text, aliases=("e_mail", "mail", "email_address")
        ),
        ImportField(name="billing_address", label="Billing address", read=read_text, aliases=("address",)),
        ImportField(name="tax_id", label="Tax id", read=read_text, aliases=("vat_id", "vat_number")),
        ImportField(name="tax_rate", label="Tax rate (%)", read=read_decimal, aliases=("vat_rate",)),
        ImportField(
            name="overage_policy",
            label="When credits run out",
            read=read_text,
            aliases=("overage",),
            hint="block, allow or notify.",
        ),
        ImportField(
            name="overage_limit_mc",
            label="Overdraft limit (mc)",
            read=read_whole,
            aliases=("overage_limit",),
            hint=_MC,
        ),
        ImportField(
            name="low_balance_threshold_mc",
            label="Low balance at (mc)",
            read=read_whole,
            aliases=("low_balance_threshold",),
            hint=_MC,
        ),
        ImportField(
            name="timezone",
            label="Time zone",
            read=read_text,
            aliases=("time_zone", "tz"),
            hint="Europe/Berlin",
        ),
        ImportField(name="payment_provider", label="Payment provider", read=read_text),
        ImportField(
            name="payment_provider_customer_id",
            label="Customer at the provider",
            read=read_text,
            aliases=("stripe_customer_id",),
        ),
        ImportField(name="payment_method_id", label="Payment method", read=read_text),
        ImportField(name="metadata", label="Metadata", read=read_object, hint="A JSON object."),
    ),
    needs=(("external_id", "id"),),
    bring=_bring,
    take_back=_take_back,
    identity=_identity,
    page=50,
    reversal="Customers that were made are deleted, those that were changed get their former values back. Whoever was "
    "changed or used since stays as they are.",
)
