"""What Ctrl-K finds by a request id: the objects that the request wrote, one kind after the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final
from uuid import UUID

from django.contrib import admin
from django.db.models import F, Value
from django.http import HttpRequest
from unfold.dataclasses import SearchResult

from customers.admin.records import RecordAdmin, list_url, record_url
from customers.admin.request_ids import has_instant
from customers.admin.requests import environment_of
from customers.kernel.ids import typeid
from customers.models import AuditRecord

#: Objects of one kind; the list has them all.
_SHOWN_MAX: Final = 5
#: Long and with a digit, as programs name requests and hardly anybody a customer.
_MACHINE_MADE: Final = re.compile(r"(?=.*\d)[A-Za-z0-9][A-Za-z0-9_.:-]{15,59}")
#: An object's id, of another environment maybe, or a part of an id.
_OURS: Final = re.compile(r"[a-z]{3,4}_[0-9a-z]{0,26}")


def request_results(request: HttpRequest, term: str) -> Iterator[SearchResult]:
    """In the environment in view, as far as this person may see."""
    kinds = [each for each in _kinds(request) if has_instant(term) or each.request_indexed]
    if environment_of(request) is None or not kinds:
        return
    found = _found(request, kinds, term)
    for kind, rows in groupby(found, key=lambda row: row[0]):
        yield from _shown(kinds[kind], term, [(key, label) for _, key, label in rows])
    yield from _remark(term, found_any=bool(found))


def _kinds(request: HttpRequest) -> list[RecordAdmin]:
    return [
        each
        for each in admin.site._registry.values()
        if isinstance(each, RecordAdmin) and each.knows_requests and each.has_view_permission(request)
    ]


def _found(request: HttpRequest, kinds: list[RecordAdmin], term: str) -> list[tuple[int, UUID, str]]:
    """One question for all kinds: the number of the kind, the key, and what it is called when it has no id to show."""
    first, *others = [
        each.of_request(each.get_queryset(request), term)
        .order_by("pk")
        .values_list(Value(number), "pk", F("action") if each.model is AuditRecord else Value(""))[
            : _SHOWN_MAX + 1
        ]
        for number, each in enumerate(kinds)
    ]
    return sorted(first.union(*others, all=True))


def _shown(kind: RecordAdmin, term: str, rows: list[tuple[UUID, str]]) -> Iterator[SearchResult]:
    for key, label in rows[:_SHOWN_MAX]:
        reference = typeid(kind.id_prefix, key) if kind.id_prefix else str(key)
        yield SearchResult(
            title=label or reference,
            description=kind.noun,
            link=record_url(kind.model, reference),
            icon=kind.icon,
        )
    if len(rows) > _SHOWN_MAX:
        yield SearchResult(
            title=f"All {kind.nouns} of this request",
            description="list",
            link=list_url(kind.model, q=term),
            icon="list",
        )


def _remark(term: str, *, found_any: bool) -> Iterator[SearchResult]:
    """What was not searched, and what it means that nothing was found."""
    if has_instant(term):
        title = "" if found_any else "This request stored nothing here"
        description = "it read, was refused, repeated an earlier one, or went to another environment"
    else:
        named = found_any or (_MACHINE_MADE.fullmatch(term) and not _OURS.fullmatch(term))
        title = "Only audit records were searched by request id" if named else ""
        description = "an id that the caller chose has no time in it"
    if title:
        yield SearchResult(
            title=title, description=description, link=list_url(AuditRecord, q=term), icon="info"
        )
