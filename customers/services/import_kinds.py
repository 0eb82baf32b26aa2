"""What can be imported: what a row of a kind means, what it does, and how that is undone.

Every app registers its kinds when it is ready (`import_kind_register` of customers.services.imports). `bring` is told
the rows of a page and answers for each what it did or why not, by the services that everybody else calls; it stands in
the transaction that keeps the outcome. The dry run is the same call, rolled back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import DataError, IntegrityError, transaction

from customers.errors import DomainError, FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.models import RowOutcome, RowReversal
from customers.services.import_cells import CellRefusedError, cell_text, read_text


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportField:
    """A field that a column can be mapped to. `aliases` are other headings it goes by."""

    name: str
    label: str
    read: Callable[[str], Any]
    aliases: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWish:
    """A row as its kind gets it: what each field says, and a key that is this row's for ever."""

    position: int
    key: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a row did. `details` are kept with it: what was changed, and amounts."""

    outcome: RowOutcome
    object_type: str
    object_id: UUID
    label: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversed:
    """What became of an effect that was to be taken back; the note says what is left of it, and why."""

    outcome: RowReversal = RowReversal.REVERSED
    note: str = ""


Bring = Callable[[Caller, Sequence[RowWish], datetime], list[Effect | DomainError]]
TakeBack = Callable[[Caller, Effect, str, datetime], Reversed]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportKind:
    """`resource` is the scope that may import and see this kind. Of each group in `needs` a row gives a field at least.

    `identity` is what no two rows of a file may share; `amount` the detail that is added up, and what it is called.
    """

    name: str
    title: str
    intro: str
    resource: str
    fields: tuple[ImportField, ...]
    needs: tuple[tuple[str, ...], ...]
    bring: Bring
    take_back: TakeBack
    identity: Callable[[Mapping[str, Any]], str | None]
    page: int
    amount: tuple[str, str] | None = None
    #: The deeds whose limits bound what one person brings in, and takes back, by that amount.
    deeds: tuple[str, str] | None = None
    #: What a reversal does, for whoever is about to do it.
    reversal: str = ""

    def field(self, name: str) -> ImportField | None:
        return next((each for each in self.fields if each.name == name), None)


_kinds: Final[dict[str, ImportKind]] = {}


def kind_add(kind: ImportKind) -> None:
    _kinds[kind.name] = kind


def import_kinds() -> list[ImportKind]:
    """All of them, in the order in which one needs them."""
    order = {"customers": 0, "grants": 1, "events": 2}
    return sorted(_kinds.values(), key=lambda kind: (order.get(kind.name, len(order)), kind.name))


def import_kind(name: str) -> ImportKind | None:
    return _kinds.get(name)


# --- Which column is which field


def mapping_guess(kind: ImportKind, columns: Sequence[str]) -> dict[str, str]:
    """Field → column, by the headings. Of several fields that may stand for each other the first that is there."""
    by_heading: dict[str, str] = {}
    for column in columns:
        by_heading.setdefault(_heading(column), column)
    found = {
        each.name: by_heading[heading]
        for each in kind.fields
        for heading in (each.name, *each.aliases)[::-1]
        if heading in by_heading
    }
    for group in kind.needs:
        for spare in [name for name in group if name in found][1:]:
            del found[spare]
    return found


def _heading(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip().lower()).strip("_")


def mapping_refusals(
    kind: ImportKind, columns: Sequence[str], mapping: Mapping[str, str], constants: Mapping[str, str]
) -> list[FieldError]:
    """What is wrong with a mapping: fields and columns that are not there, a needed field that has neither."""
    errors = [
        FieldError(f"mapping.{name}", "unknown-field", f"Rows of {kind.name} have no such field.")
        for name in {**mapping, **constants}
        if kind.field(name) is None
    ]
    errors += [
        FieldError(f"mapping.{name}", "unknown-column", f"The file has no column {column!r}.")
        for name, column in mapping.items()
        if column not in columns
    ]
    errors += [
        FieldError(f"mapping.{group[0]}", "required", f"Map a column to {' or '.join(group)}.")
        for group in kind.needs
        if not any(name in mapping or name in constants for name in group)
    ]
    return errors + _constant_refusals(kind, constants)


def _constant_refusals(kind: ImportKind, constants: Mapping[str, str]) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, text in constants.items():
        known = kind.field(name)
        if known is not None:
            _read(known, text, {}, errors)
    return [FieldError(f"constants.{error.field}", error.code, error.message) for error in errors]


# --- What a row says


def row_values(kind: ImportKind, texts: Mapping[str, str]) -> dict[str, Any]:
    """The fields that the row gives, read. Raises ValidationFailed with everything that is wrong."""
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    for name, text in texts.items():
        known = kind.field(name)
        if known is not None and text:
            _read(known, text, values, errors)
    given = {*values, *(error.field for error in errors)}
    errors += [
        FieldError(group[0], "required", f"Give {' or '.join(group)}.")
        for group in kind.needs
        if not given.intersection(group)
    ]
    if errors:
        raise ValidationFailed(errors=errors)
    return values


def row_texts(
    columns: Sequence[str], cells: Sequence[str], mapping: Mapping[str, str], constants: Mapping[str, str]
) -> dict[str, str]:
    """Field → text of a row: its own, else what stands for rows without one."""
    by_column = dict(zip(columns, cells, strict=True))
    texts = {name: cell_text(by_column[column]) for name, column in mapping.items()}
    return {name: texts.get(name) or constants.get(name, "") for name in {**mapping, **constants}}


def _read(known: ImportField, text: str, values: dict[str, Any], errors: list[FieldError]) -> None:
    try:
        values[known.name] = known.read(text)
    except CellRefusedError as refusal:
        errors.append(FieldError(known.name, "invalid", str(refusal)))


# --- For kinds whose rows are brought in one by one


def each_alone(wishes: Sequence[RowWish], deed: Callable[[RowWish], Effect]) -> list[Effect | DomainError]:
    """Each row for itself: one that is refused, or cannot be stored, leaves nothing and hinders nobody."""
    return [_alone(wish, deed) for wish in wishes]


def _alone(wish: RowWish, deed: Callable[[RowWish], Effect]) -> Effect | DomainError:
    try:
        with transaction.atomic():
            return deed(wish)
    except DomainError as refusal:
        return refusal
    except (DataError, IntegrityError, psycopg.DataError, psycopg.IntegrityError):
        return not_storable()


def not_storable() -> DomainError:
    return ValidationFailed("The database cannot store this row.")


#: How a row names the customer it is about; customer_reference reads them.
CUSTOMER_FIELDS: Final = (
    ImportField(
        name="external_customer_id",
        label="Customer, by external id",
        read=read_text,
        aliases=("external_id", "customer", "customer_external_id"),
    ),
    ImportField(name="customer_id", label="Customer, by id", read=read_text),
)


def customer_reference(values: Mapping[str, Any]) -> tuple[str, str]:
    """`by` and reference of the one customer that a row names."""
    named = [
        (by, values[name])
        for by, name in (("id", "customer_id"), ("external", "external_customer_id"))
        if name in values
    ]
    if len(named) != 1:
        raise ValidationFailed(
            errors=[FieldError("customer_id", "ambiguous", "Name the customer by exactly one id.")]
        )
    return named[0]


def key_of_row(values: Mapping[str, Any]) -> str | None:
    """The identity of a row that may carry an idempotency key."""
    key = values.get("idempotency_key")
    return None if key is None else f"key:{key}"
