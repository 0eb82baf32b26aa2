"""Customers: found, made, changed, hidden.

Everything concurrent with itself: two requests may create the same customer at once, or take over an external id while
another still uses it. The two unique constraints decide; the code only words the outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

from django.db import IntegrityError, transaction

from customers.errors import CustomerExists, CustomerNotFound, FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.changes import customer_changed
from customers.kernel.database import call_one
from customers.kernel.ids import uuid7, uuid_parse
from customers.kernel.instants import instant_text
from customers.models import Customer
from customers.services.audit import audit_record
from customers.services.checks import EXTERNAL_ID_MAX, customer_refusals, text_refusal
from customers.services.outbox import event_emit

By = Literal["id", "external"]

_FIND: Final = "SELECT customers_customer_find_v1($1, $2, $3)"
_ENSURE: Final = "SELECT customer_id, created FROM customers_customer_ensure_v1($1, $2, $3, $4, $5)"

#: What higher apps lock of a customer before the row itself, where they keep what is about to change.
_locks: Final[list[Callable[[UUID, UUID, datetime], object]]] = []


def customer_lock_register(lock: Callable[[UUID, UUID, datetime], object]) -> None:
    """Higher apps know the low-balance threshold, too. Whoever locks theirs and the row locks theirs first."""
    _locks.append(lock)


def customer_find_id(*, environment_id: UUID, by: By, reference: str) -> UUID | None:
    """The inside id of the customer that `reference` names, deleted or not, or None."""
    if not _is_reference(reference):
        return None
    row = call_one(_FIND, [environment_id, by, reference])
    return row[0] if row else None


def customer_resolve(*, environment_id: UUID, by: By, reference: str) -> Customer:
    """The customer that `reference` names, deleted or not."""
    customer_id = customer_find_id(environment_id=environment_id, by=by, reference=reference)
    customer = Customer.objects.filter(id=customer_id).first() if customer_id else None
    if customer is None:
        raise _nobody(by, reference)
    return customer


def customer_ensure(*, environment_id: UUID, by: By, reference: str, now: datetime) -> tuple[UUID, bool]:
    """The inside id of the customer, made if need be, and whether it was. By id only a UUID makes one."""
    row = (
        call_one(_ENSURE, [environment_id, by, reference, uuid7(), now]) if _is_reference(reference) else None
    )
    if row is None or row[0] is None:
        raise _nobody(by, reference)
    return row[0], row[1]


@transaction.atomic
def customer_create(
    *,
    caller: Caller,
    public_id: str | None = None,
    external_id: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    now: datetime,
) -> Customer:
    """A new customer, by an id of the caller's choice and/or an external id.

    A chosen id is its external id too, unless another is given. An external id that only a deleted customer still holds
    is taken over.
    """
    attributes = dict(attributes or {})
    _check_new(public_id, external_id, attributes)
    inside_id = uuid7()
    external = external_id if external_id is not None else public_id
    wanted = _spelled(public_id) if public_id is not None else str(inside_id)
    _take_over(caller, external)
    try:
        with transaction.atomic():
            customer = Customer.objects.create(
                id=inside_id,
                environment_id=caller.environment_id,
                public_id=wanted,
                external_id=external,
                external_key=external,
                created_at=now,
                updated_at=now,
                **attributes,
            )
    except IntegrityError:
        raise _exists(caller, wanted, external) from None
    _record(caller, customer, "created", {}, {"auto_created": False}, now)
    return customer


@transaction.atomic
def customer_update(
    *, caller: Caller, customer_id: UUID, attributes: Mapping[str, Any], reason: str = "", now: datetime
) -> Customer:
    """Set fields (also `external_id`). What is already so is no change; without any, nothing is recorded."""
    _check_changes(attributes)
    if "low_balance_threshold_mc" in attributes:
        for lock in _locks:
            lock(caller.environment_id, customer_id, now)
    customer = _locked(caller, customer_id)
    changes = {
        field: [getattr(customer, field), value]
        for field, value in attributes.items()
        if getattr(customer, field) != value
    }
    if not changes:
        return customer
    for field, (_, value) in changes.items():
        setattr(customer, field, value)
    fields = [*changes, "updated_at"]
    if "external_id" in changes:
        customer.external_key = customer.external_id
        fields.append("external_key")
    customer.updated_at = now
    _save(caller, customer, fields)
    _record(caller, customer, "updated", changes, {"changed": sorted(changes)}, now, reason)
    return customer


@transaction.atomic
def customer_delete(*, caller: Caller, customer_id: UUID, reason: str = "", now: datetime) -> Customer:
    """Hide the customer. Balances, holds and subscriptions go on, calls still reach it; a second time does nothing."""
    customer = _locked(caller, customer_id)
    if customer.deleted_at is None:
        customer.deleted_at = customer.updated_at = now
        customer.save(update_fields=["deleted_at", "updated_at"])
        _record(caller, customer, "deleted", {}, {"deleted_at": instant_text(now)}, now, reason)
    return customer


def _locked(caller: Caller, customer_id: UUID) -> Customer:
    rows = Customer.objects.select_for_update(no_key=True)
    customer = rows.filter(id=customer_id, environment_id=caller.environment_id).first()
    if customer is None:
        raise CustomerNotFound
    customer_changed(caller.environment_id, customer_id)
    return customer


def _take_over(caller: Caller, external_id: str | None) -> None:
    """Free the external id if a deleted customer holds it; that one keeps it as a label."""
    if external_id is not None:
        held = Customer.objects.filter(
            environment_id=caller.environment_id, external_key=external_id, deleted_at__isnull=False
        )
        customer_changed(caller.environment_id, *held.values_list("id", flat=True))
        held.update(external_key=None)


def _save(caller: Caller, customer: Customer, fields: list[str]) -> None:
    try:
        with transaction.atomic():
            customer.save(update_fields=fields)
    except IntegrityError:
        raise _exists(caller, "", customer.external_id) from None


def _exists(caller: Caller, public_id: str, external_id: str | None) -> CustomerExists:
    of_environment = Customer.objects.filter(environment_id=caller.environment_id)
    holder = (
        of_environment.filter(public_id=public_id).first()
        or of_environment.filter(external_key=external_id).first()
    )
    named = holder.public_id if holder else None
    return CustomerExists(f"The customer {named} has this id already.", extra={"existing_id": named})


def _record(
    caller: Caller,
    customer: Customer,
    what: str,
    changes: Mapping[str, Any],
    data: Mapping[str, Any],
    now: datetime,
    reason: str = "",
) -> None:
    audit_record(
        caller=caller,
        action=f"customer.{what}",
        object_type="customer",
        object_id=customer.public_id,
        customer_id=customer.id,
        reason=reason,
        changes={field: [_recorded(value) for value in pair] for field, pair in changes.items()},
        now=now,
    )
    event_emit(caller=caller, event=f"customer.{what}", customer=customer.id, data=data, now=now)


def _recorded(value: Any) -> Any:
    # JSON has no exact decimals but texts.
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def _check_new(public_id: str | None, external_id: str | None, attributes: Mapping[str, Any]) -> None:
    errors = _id_refusals(id=public_id, external_id=external_id) + customer_refusals(attributes)
    if public_id is None and external_id is None:
        errors.append(FieldError("external_id", "required", "Give an external_id, an id, or both."))
    if errors:
        raise ValidationFailed(errors=[_as_on_the_wire(error) for error in errors])


def _check_changes(attributes: Mapping[str, Any]) -> None:
    rest = {field: value for field, value in attributes.items() if field != "external_id"}
    errors = _id_refusals(external_id=attributes.get("external_id")) + customer_refusals(rest)
    if errors:
        raise ValidationFailed(errors=[_as_on_the_wire(error) for error in errors])


def _id_refusals(**ids: str | None) -> list[FieldError]:
    found = (
        (field, text_refusal(value, EXTERNAL_ID_MAX)) for field, value in ids.items() if value is not None
    )
    return [FieldError(field, "invalid", message) for field, message in found if message is not None]


def _as_on_the_wire(error: FieldError) -> FieldError:
    return FieldError(error.field.removesuffix("_mc"), error.code, error.message)


def _spelled(public_id: str) -> str:
    """UUIDs are found in any case, so they are stored in one."""
    as_uuid = uuid_parse(public_id)
    return str(as_uuid) if as_uuid else public_id


def _is_reference(reference: str) -> bool:
    # Whatever cannot be stored cannot be anybody's id either.
    return text_refusal(reference, EXTERNAL_ID_MAX) is None and not _has_half_surrogates(reference)


def _has_half_surrogates(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


def _nobody(by: By, reference: str) -> CustomerNotFound:
    kind = "external id" if by == "external" else "id"
    return CustomerNotFound(f"There is no customer with the {kind} {reference[:EXTERNAL_ID_MAX]!r}.")
