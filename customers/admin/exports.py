"""Any list as CSV, as it is filtered, row by row as it is read: a million rows take no more memory than a page.

Every column that a table stores is there, exactly: ids as everywhere else, amounts as integers, instants in UTC.
Secrets and fingerprints are not.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import BinaryField, Field, ForeignKey, Model, QuerySet

from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid
from customers.kernel.instants import instant_text
from customers.models import Customer

_ROWS_OF_A_PAGE: Final = 1000
_HIDDEN: Final = ("environment", "password", "secret_salt", "secret_check")
#: Spreadsheets take a cell that begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    value: Callable[[Any], object]


class Line:
    """What csv writes to: it hands each line on instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_lines(rows: QuerySet[Any], *, id_prefix: str, environment_id: UUID) -> Iterator[str]:
    """The rows as lines of CSV, newest first, behind a line of names.

    The answer is sent after the request's own look at the environment has ended, so every page takes one of its own.
    """
    columns = _columns(rows.model, id_prefix)
    writer = csv.writer(Line())
    yield writer.writerow([column.name for column in columns])
    for row in _newest_first(rows, environment_id):
        yield writer.writerow([csv_cell(column.value(row)) for column in columns])


def _newest_first(rows: QuerySet[Any], environment_id: UUID) -> Iterator[Any]:
    rows = rows.order_by("-pk").select_related(*_joined(rows.model))
    page: list[Any] = []
    while not page or len(page) == _ROWS_OF_A_PAGE:
        older = rows.filter(pk__lt=page[-1].pk) if page else rows
        with environment_scope(environment_id):
            page = list(older[:_ROWS_OF_A_PAGE])
        yield from page
        if not page:
            return


def _columns(model: type[Model], id_prefix: str) -> list[Column]:
    found: list[Column] = []
    for field in model._meta.concrete_fields:
        if field.name not in _HIDDEN and not isinstance(field, BinaryField):
            found += _columns_of(field, id_prefix)
    return found


def _columns_of(field: Field[Any, Any], id_prefix: str) -> list[Column]:
    path = _customer_path(field)
    if path is not None:
        return [
            Column("customer_id", lambda row: path(row).public_id),
            Column("external_customer_id", lambda row: path(row).external_id),
        ]
    if field.primary_key and id_prefix:
        return [Column(field.name, lambda row: typeid(id_prefix, row.pk))]
    if isinstance(field, ForeignKey):
        return [Column(f"{field.name}_id", lambda row: _reference(field, row))]
    return [Column(field.name, lambda row: getattr(row, field.attname))]


def _customer_path(field: Field[Any, Any]) -> Callable[[Any], Customer] | None:
    """How a row's customer is reached by this field: by itself, or by the credit account that is theirs."""
    if not isinstance(field, ForeignKey):
        return None
    if field.related_model is Customer:
        return lambda row: getattr(row, field.name)
    of_account = {each.name for each in field.related_model._meta.concrete_fields if each.primary_key}
    if of_account == {"customer"}:
        return lambda row: getattr(row, field.name).customer
    return None


def _joined(model: type[Model]) -> list[str]:
    fields = [field for field in model._meta.concrete_fields if isinstance(field, ForeignKey)]
    return [
        field.name if field.related_model is Customer else f"{field.name}__customer"
        for field in fields
        if _customer_path(field) is not None
    ]


def _reference(field: ForeignKey[Any, Any], row: Any) -> object:
    """The id of what a row points to, as people see it, without reading it."""
    key = getattr(row, field.attname)
    return None if key is None else getattr(field.related_model(pk=key), "public_id", key)


def csv_cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
