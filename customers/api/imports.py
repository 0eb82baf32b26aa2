"""`/v1/imports`: CSV files of customers, grants or usage events; tried first, brought in, and taken back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Any, Final

from django.conf import settings
from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.response import Response

from customers.api.authentication import scope_check
from customers.api.fields import InstantField, StrictSerializer, TextField
from customers.api.idempotency import idempotent
from customers.api.jobs import JOB_EXAMPLE, JobShow
from customers.api.parsers import ExactJSONParser, json_object
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import DomainError, FieldError, ImportNotFound, ImportTooLarge, ValidationFailed
from customers.kernel.amounts import MC_PER_CREDIT
from customers.kernel.clock import system_now
from customers.kernel.ids import typeid_parse
from customers.models import ImportBatch, ImportRow, RowOutcome, RowReversal
from customers.services.import_kinds import import_kind, import_kinds
from customers.services.imports import (
    import_check,
    import_get,
    import_reverse,
    import_start,
    import_upload,
)

_STATES: Final = (
    "uploaded",
    "checking",
    "checked",
    "importing",
    "imported",
    "reversing",
    "reversed",
    "paused",
    "interrupted",
)
_PENDING: Final = "pending"


class CsvParser(BaseParser):
    """`text/csv` → the bytes as they came."""

    media_type = "text/csv"

    def parse(  # type: ignore[override] # the stubs know of no body that is no mapping
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        _whole(parser_context)
        return bytes(stream.read(settings.IMPORT_MAX_BYTES + 1))


class FileParser(MultiPartParser):
    """`multipart/form-data` with a file in it."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        _whole(parser_context)
        return super().parse(stream, media_type, parser_context)


def _whole(context: Mapping[str, Any] | None) -> None:
    """A body without a length is read up to the bound of JSON bodies, so more may have been behind it."""
    headers = (context or {})["request"].META
    sent = int(headers.get("CONTENT_LENGTH") or 0)
    most = settings.BODY_MAX_BYTES if "HTTP_TRANSFER_ENCODING" in headers else settings.IMPORT_MAX_BYTES
    # The other parts of a form take some room beside the file.
    if sent > most + settings.BODY_MAX_BYTES * ("HTTP_TRANSFER_ENCODING" not in headers):
        raise ImportTooLarge(f"A file has at most {settings.IMPORT_MAX_BYTES:,} bytes.")


class ImportCounts(serializers.Serializer[Any]):
    """How many rows, by outcome; `amount` adds up what they grant or cost, in mc."""

    made = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    refused = serializers.IntegerField()
    amount = serializers.IntegerField()

    def to_representation(self, instance: Mapping[str, int]) -> dict[str, int]:
        return {name: instance.get(name, 0) for name in map(str, self.fields)}


class ReversalCounts(serializers.Serializer[Any]):
    reversed = serializers.IntegerField()
    partly = serializers.IntegerField()
    kept = serializers.IntegerField()

    def to_representation(self, instance: Mapping[str, int]) -> dict[str, int]:
        return {name: instance.get(name, 0) for name in map(str, self.fields)}


class ImportShow(serializers.Serializer[ImportBatch]):
    id = serializers.CharField(source="public_id")
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=_STATES)
    file_name = serializers.CharField()
    rows = serializers.IntegerField(source="row_count")
    columns = serializers.ListField(
        child=serializers.CharField(), help_text="As the file's first line names them."
    )
    mapping = serializers.DictField(child=serializers.CharField(), help_text="Field → column.")
    constants = serializers.DictField(
        child=serializers.CharField(), help_text="Field → what stands for rows without one."
    )
    expected = ImportCounts(source="expected_counts", help_text="What the dry run found.")
    outcome = ImportCounts(source="counts", help_text="What was done.")
    reversal = ReversalCounts(source="reversal_counts")
    reversal_reason = serializers.CharField(allow_blank=True)
    job = JobShow(
        allow_null=True, help_text="The work under way, or the last; `/v1/jobs` pauses and cancels it."
    )
    created_at = InstantField()


class RowError(serializers.Serializer[Any]):
    field = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    message = serializers.CharField()


class ImportRowShow(serializers.Serializer[ImportRow]):
    """A row of the file, and what became of it."""

    row = serializers.IntegerField(source="position", help_text="From 1, beneath the line of names.")
    line = serializers.IntegerField(help_text="Where it ends in the file.")
    cells = serializers.ListField(child=serializers.CharField(allow_blank=True))
    expected = serializers.SerializerMethodField(help_text="By the dry run.")
    outcome = serializers.SerializerMethodField()
    errors = RowError(many=True, help_text="Why it is refused.")  # type: ignore[assignment]
    object_type = serializers.CharField(allow_blank=True, help_text="`customer`, `block` or `event`.")
    object_id = serializers.CharField(source="object_label", allow_blank=True)
    details = serializers.DictField(
        help_text="What it changed: `changes` has before and after of each field."
    )
    reversal = serializers.ChoiceField(choices=RowReversal.choices, allow_blank=True)
    reversal_note = serializers.CharField(allow_blank=True)

    def get_expected(self, row: ImportRow) -> str:
        return row.expected or _PENDING

    def get_outcome(self, row: ImportRow) -> str:
        return row.outcome or _PENDING


class RowFilter(filters.FilterSet):
    expected = filters.ChoiceFilter(
        choices=[(_PENDING, _PENDING), *RowOutcome.choices], method="by_outcome", label="By the dry run."
    )
    outcome = filters.ChoiceFilter(
        choices=[(_PENDING, _PENDING), *RowOutcome.choices], method="by_outcome", label="What was done."
    )
    reversal = filters.ChoiceFilter(
        choices=RowReversal.choices, label="What became of it when it was reversed."
    )

    class Meta:
        model = ImportRow
        fields: tuple[str, ...] = ()

    def by_outcome(self, queryset: QuerySet[ImportRow], name: str, value: str) -> QuerySet[ImportRow]:
        return queryset.filter(**{name: "" if value == _PENDING else value})


class ImportFilter(filters.FilterSet):
    kind = filters.CharFilter(label="Exactly this kind.")

    class Meta:
        model = ImportBatch
        fields: tuple[str, ...] = ()


class ImportForm(serializers.Serializer[Any]):
    """The parts of the form."""

    kind = serializers.CharField(help_text="`customers`, `grants` or `events`.")
    file = serializers.FileField()
    mapping = serializers.CharField(
        required=False, help_text="JSON: field → column. Left out, it is guessed by the columns' names."
    )
    constants = serializers.CharField(
        required=False, help_text="JSON: field → text for rows without one, such as a reason for all grants."
    )


class ReverseInput(StrictSerializer):
    reason = TextField(max_length=1000, help_text="Kept with everything that is taken back.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What an upload says, whichever way it came."""

    kind: str
    name: str
    content: bytes
    mapping: dict[str, str] | None
    constants: dict[str, str] | None

    @classmethod
    def of(cls, request: ApiRequest) -> _Sent:
        body: Any = request.data
        said: Mapping[str, Any] = request.query_params if isinstance(body, bytes) else body
        if isinstance(body, bytes):
            content, name = body, said.get("file_name", "import.csv")
        else:
            file = request.FILES.get("file")
            if file is None:
                raise _invalid("file", "required", "Send the CSV as the part `file`.")
            content, name = file.read(), file.name
        return cls(
            kind=_text(said.get("kind")),
            name=_text(name),
            content=content,
            mapping=_texts(said, "mapping"),
            constants=_texts(said, "constants"),
        )


def _text(value: Any) -> str:
    return value.replace("\x00", "") if isinstance(value, str) else ""


def _texts(said: Mapping[str, Any], name: str) -> dict[str, str] | None:
    """A JSON object of texts, or None when nothing was said."""
    given = said.get(name)
    if given is None or given == "":
        return None
    try:
        value = json_object(str(given).encode())
    except DomainError:
        value = {"": None}
    if not all(isinstance(each, str) for each in value.values()):
        raise _invalid(name, "invalid", "Must be a JSON object of texts.")
    return value


def _amount_max(batch: ImportBatch) -> int | None:
    """How many credits, in mc, a key may move at once by a file that moves any."""
    most, kind = settings.IMPORT_KEY_CREDITS_MAX, import_kind(batch.kind)
    if most is None or kind is None or kind.deeds is None:
        return None
    return int(most) * MC_PER_CREDIT


def _invalid(field: str, code: str, message: str) -> ValidationFailed:
    return ValidationFailed(errors=[FieldError(field, code, message)])


def _fingerprint(request: ApiRequest) -> bytes:
    sent = _Sent.of(request)
    for file in request.FILES.values():
        # It is read again by the handler.
        file.seek(0)
    asked = json.dumps([sent.kind, sent.name, sent.mapping, sent.constants], sort_keys=True)
    return asked.encode() + sha256(sent.content).digest()


_COUNTS: Final = {"made": 2, "changed": 0, "unchanged": 0, "refused": 1, "amount": 250000}
_NOTHING: Final = {"made": 0, "changed": 0, "unchanged": 0, "refused": 0, "amount": 0}
_EXAMPLE: Final[dict[str, Any]] = {
    "id": "imp_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "kind": "grants",
    "state": "checked",
    "file_name": "balances.csv",
    "rows": 3,
    "columns": ["customer", "credits"],
    "mapping": {"external_customer_id": "customer", "credits": "credits"},
    "constants": {"reason": "Opening balance"},
    "expected": _COUNTS,
    "outcome": _NOTHING,
    "reversal": {"reversed": 0, "partly": 0, "kept": 0},
    "reversal_reason": "",
    "job": {**JOB_EXAMPLE, "kind": "grants.import_check", "state": "done"},
    "created_at": "2026-04-03T09:01:00Z",
}
_SHOWN: Final = OpenApiExample("An import that was checked", _EXAMPLE, response_only=True)
_ROW_SHOWN: Final = OpenApiExample(
    "A row that would be refused",
    {
        "row": 3,
        "line": 4,
        "cells": ["user_3", "1,000"],
        "expected": "refused",
        "outcome": "pending",
        "errors": [
            {
                "field": "credits",
                "code": "invalid",
                "message": "Must be a number such as 1250 or 0.5, without thousands separators.",
            }
        ],
        "object_type": "",
        "object_id": "",
        "details": {},
        "reversal": "",
        "reversal_note": "",
    },
    response_only=True,
)
_SCOPE: Final = "Needs the scope of what it brings in: `customers`, `credits` or `usage`."


class ImportEndpoint(Endpoint):
    """Whose scope may see an import depends on what it brings in."""

    resource = "customers"
    serializer_class: type[serializers.BaseSerializer[Any]] = ImportShow
    permission_classes = ()
    queryset: QuerySet[Any] = ImportBatch.objects.none()

    def batch(self, request: ApiRequest, text: str, *, right: str = "read") -> ImportBatch:
        import_id = typeid_parse("imp", text)
        if import_id is None:
            raise ImportNotFound(f"There is no import {text[:64]}.")
        batch = import_get(environment_id=request.caller.environment_id, import_id=import_id)
        kind = import_kind(batch.kind)
        scope_check(request.key, f"{kind.resource if kind else self.resource}:{right}")
        return batch


class Imports(ImportEndpoint):
    filterset_class = ImportFilter
    parser_classes = (FileParser, CsvParser)

    @extend_schema(
        operation_id="imports_list",
        tags=["Imports"],
        summary="List imports",
        description="Those that the key's scopes may see, newest first.",
        responses=ImportShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        seen = [kind.name for kind in import_kinds() if request.key.may(f"{kind.resource}:read")]
        batches = ImportBatch.objects.filter(environment_id=request.caller.environment_id, kind__in=seen)
        return self.page(batches.select_related("job"), ImportShow)

    @extend_schema(
        operation_id="imports_create",
        tags=["Imports"],
        summary="Upload a CSV file and try it out",
        description="A form with the file, or the file itself as `text/csv` with `kind`, `mapping` and `constants` in "
        "the query. UTF-8; the first line names the columns, separated by commas, semicolons or tabs. Nothing is "
        "brought in yet: the file is checked, as a job when it is long, and `/rows?expected=refused` tells what is "
        f"wrong with it. {_SCOPE}",
        parameters=[
            OpenApiParameter("kind", OpenApiTypes.STR, description="For `text/csv`."),
            OpenApiParameter(
                "mapping", OpenApiTypes.STR, description="For `text/csv`: JSON, field → column."
            ),
            OpenApiParameter(
                "constants", OpenApiTypes.STR, description="For `text/csv`: JSON, field → text."
            ),
            OpenApiParameter("file_name", OpenApiTypes.STR, description="For `text/csv`."),
        ],
        request={"multipart/form-data": ImportForm, "text/csv": OpenApiTypes.BINARY},
        responses={201: ImportShow},
        extensions={"x-problems": ["import-unreadable", "import-too-large"]},
        examples=[_SHOWN],
    )
    @idempotent(fingerprint=_fingerprint)
    def post(self, request: ApiRequest) -> Response:
        sent = _Sent.of(request)
        kind = import_kind(sent.kind)
        scope_check(request.key, f"{kind.resource if kind else self.resource}:write")
        batch = import_upload(
            caller=request.caller, kind=sent.kind, name=sent.name, content=sent.content, now=request.now
        )
        batch = import_check(
            caller=request.caller,
            import_id=batch.id,
            mapping=sent.mapping,
            constants=sent.constants,
            now=request.now,
            clock=system_now,
        )
        return Response(ImportShow(batch).data, status=201)


class ImportDetail(ImportEndpoint):
    @extend_schema(
        operation_id="imports_get",
        tags=["Imports"],
        summary="Get an import",
        description=f"Where it is, and how far. {_SCOPE}",
        responses=ImportShow,
        extensions={"x-problems": ["import-not-found"]},
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, import_id: str) -> Response:
        return Response(ImportShow(self.batch(request, import_id)).data)


class ImportRows(ImportEndpoint):
    filterset_class = RowFilter
    queryset = ImportRow.objects.none()
    serializer_class = ImportRowShow
    cursor_field = "position"

    @extend_schema(
        operation_id="imports_rows",
        tags=["Imports"],
        summary="List the rows of an import",
        description=f"The last of the file first. {_SCOPE}",
        responses=ImportRowShow(many=True),
        extensions={"x-problems": ["import-not-found"]},
        examples=[_ROW_SHOWN],
    )
    def get(self, request: ApiRequest, import_id: str) -> Response:
        batch = self.batch(request, import_id)
        return self.page(ImportRow.objects.filter(batch_id=batch.id), ImportRowShow)


class ImportStart(ImportEndpoint):
    parser_classes = (ExactJSONParser,)

    @extend_schema(
        operation_id="imports_start",
        tags=["Imports"],
        summary="Bring the rows in",
        description="Each once for ever, whatever dies or is retried meanwhile; each is decided anew, so what the dry "
        f"run refused may pass by now. What was interrupted goes on. {_SCOPE}",
        request=None,
        responses=ImportShow,
        extensions={"x-problems": ["import-not-found", "import-not-ready", "import-above-limit"]},
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, import_id: str) -> Response:
        batch = self.batch(request, import_id, right="write")
        started = import_start(
            caller=request.caller,
            import_id=batch.id,
            amount_max=_amount_max(batch),
            now=request.now,
            clock=system_now,
        )
        return Response(ImportShow(started).data)


class ImportReverse(ImportEndpoint):
    parser_classes = (ExactJSONParser,)

    @extend_schema(
        operation_id="imports_reverse",
        tags=["Imports"],
        summary="Take an import back",
        description="Customers that it made are deleted, blocks voided as far as something is left of them, events "
        "voided with refund. What somebody has used or changed since stays, and its row says why; sent again, those "
        f"are tried again. {_SCOPE}",
        request=ReverseInput,
        responses=ImportShow,
        extensions={"x-problems": ["import-not-found", "import-not-ready", "import-above-limit"]},
        examples=[OpenApiExample("Reverse", {"reason": "The wrong file"}, request_only=True), _SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, import_id: str) -> Response:
        batch = self.batch(request, import_id, right="write")
        given = self.read(ReverseInput)
        undone = import_reverse(
            caller=request.caller,
            import_id=batch.id,
            reason=given["reason"],
            amount_max=_amount_max(batch),
            now=request.now,
            clock=system_now,
        )
        return Response(ImportShow(undone).data)
