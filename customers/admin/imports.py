"""Imports: a file comes in, its columns are mapped, it is tried out, brought in, and taken back if need be."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import badge, code, copyable, instant_shown, link
from customers.admin.exports import Line, csv_cell
from customers.admin.import_forms import MappingForm, NothingForm, UploadForm
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.errors import DomainError
from customers.kernel.amounts import MC_PER_CREDIT, credits_spelled
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import (
    AuditRecord,
    ImportBatch,
    ImportRow,
    ImportStage,
    Job,
    JobState,
    RowOutcome,
    RowReversal,
)
from customers.services.approval_deeds import UNLIMITED, deed_named
from customers.services.approval_limits import limit_of
from customers.services.audit import audit_record
from customers.services.import_kinds import ImportKind, import_kind, import_kinds
from customers.services.imports import import_check, import_reverse, import_start, import_upload
from customers.services.jobs import job_cancel, job_pause, job_resume

_TONES: Final = {
    "uploaded": "neutral",
    "checking": "info",
    "checked": "info",
    "importing": "info",
    "imported": "good",
    "reversing": "warning",
    "reversed": "neutral",
    "paused": "warning",
    "interrupted": "bad",
}
_OUTCOME_TONES: Final = {
    RowOutcome.MADE: "good",
    RowOutcome.CHANGED: "info",
    RowOutcome.UNCHANGED: "neutral",
    RowOutcome.REFUSED: "bad",
}
_SAMPLE: Final = 10
_REFUSED_SHOWN: Final = 20
_ROWS_OF_A_PAGE: Final = 1000
_OPEN: Final = (JobState.QUEUED, JobState.RUNNING)
#: What a download holds, by its name in the address.
_DOWNLOADS: Final[dict[str, dict[str, Any]]] = {
    "expected-refused": {"expected": RowOutcome.REFUSED},
    "refused": {"outcome": RowOutcome.REFUSED},
    "kept": {"reversal__in": (RowReversal.KEPT, RowReversal.PARTLY)},
    "all": {},
}


@admin.register(ImportBatch)
class ImportAdmin(RecordAdmin):
    noun, nouns = "import", "imports"
    id_prefix = "imp"
    icon = "upload_file"
    list_display = ("file_shown", "kind_shown", "state_shown", "rows_shown", "by", "created", "id_shown")
    list_display_links = ("file_shown",)
    list_filter = ("kind", "stage")
    search_fields = ("file_name",)
    search_help_text = "Part of the file's name, or id (imp_…)"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request).select_related("job")
        return rows

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        return super().search(request, rows, term) | rows.filter(file_name__icontains=term)

    @admin.display(description="File")
    def file_shown(self, batch: ImportBatch) -> str:
        return batch.file_name

    @admin.display(description="What")
    def kind_shown(self, batch: ImportBatch) -> str:
        return _title(batch)

    @admin.display(description="State")
    def state_shown(self, batch: ImportBatch) -> SafeString:
        return _badge(batch)

    @admin.display(description="Rows")
    def rows_shown(self, batch: ImportBatch) -> str:
        done = batch.counts or batch.expected_counts
        refused = done.get(RowOutcome.REFUSED, 0)
        return f"{batch.row_count:,}" + (f", {refused:,} refused" if refused else "")

    @admin.display(description="By")
    def by(self, batch: ImportBatch) -> SafeString:
        return code(batch.actor)

    @admin.display(description="Uploaded")
    def created(self, batch: ImportBatch) -> SafeString:
        return instant_shown(batch.created_at)

    @admin.display(description="Import")
    def id_shown(self, batch: ImportBatch) -> SafeString:
        return code(batch.public_id)

    # --- A new one

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._may(request) and environment_of(request) is not None

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("customers.add_importbatch"))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            try:
                batch = _upload(request, form.cleaned_data)
            except DomainError as refusal:
                form.add_error("file", refusal.detail)
            else:
                return HttpResponseRedirect(_url("map", batch))
        context = {
            **self.admin_site.each_context(request),
            "title": "Import a CSV file",
            "opts": self.opts,
            "form": form,
            "kinds": import_kinds(),
            "back": list_url(ImportBatch),
        }
        status = 422 if form.errors else 200
        return TemplateResponse(request, "admin/purser/import_upload.html", context, status=status)

    # --- One of them

    def page(self, request: HttpRequest, record: ImportBatch) -> Page:
        return Page(
            heading=record.file_name,
            kind=_title(record),
            badges=[_badge(record)],
            sections=list(_sections(record)),
            buttons=list(_buttons(record)) if self._may(request) else [],
        )

    def further_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, "customers_importbatch"
        return [
            path("<str:object_id>/progress/", wrap(self.progress_view), name=f"{name}_progress"),
            path("<str:object_id>/rows/<slug:which>.csv", wrap(self.rows_view), name=f"{name}_rows"),
            *self.deed_urls(self.deed_view, _DEEDS),
        ]

    def progress_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """How far it is, asked for again and again by the page; once it is over the page is loaded anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        batch = self.found_or_404(request, object_id)
        if not _is_open(batch):
            return HttpResponse(headers={"HX-Refresh": "true"})
        return HttpResponse(_progress(batch))

    def rows_view(
        self, request: HttpRequest, object_id: str, which: str
    ) -> HttpResponse | StreamingHttpResponse:
        """Rows as CSV, with their own cells first, to be mended and uploaded again."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        batch = self.found_or_404(request, object_id)
        if which not in _DOWNLOADS:
            raise Http404
        asked = of_admin(request)
        audit_record(
            caller=asked.caller,
            action="import.exported",
            object_type="import",
            object_id=batch.public_id,
            changes={"rows": [None, which]},
            now=asked.now,
        )
        lines = _lines(batch, _DOWNLOADS[which])
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{batch.public_id}-{which}.csv"'
        return answer

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        batch = self.found_or_404(request, object_id)
        dialog = _DEEDS[deed](request, batch)
        return self.dialog_answer(request, dialog, allowed=self._may(request))


# --- What the page says


def _kind(batch: ImportBatch) -> ImportKind:
    kind = import_kind(batch.kind)
    if kind is None:
        raise Http404(f"Nobody imports {batch.kind} any more.")
    return kind


def _title(batch: ImportBatch) -> str:
    kind = import_kind(batch.kind)
    return kind.title if kind else batch.kind


def _badge(batch: ImportBatch) -> SafeString:
    return badge(batch.state.capitalize(), _TONES[batch.state])


def _is_open(batch: ImportBatch) -> bool:
    return batch.job is not None and batch.job.state in _OPEN


def _sections(batch: ImportBatch) -> Iterator[Section]:
    if batch.job is not None and (_is_open(batch) or batch.state in {"paused", "interrupted"}):
        yield Section(ImportStage(batch.stage).label, html=_progress_panel(batch))
    if batch.reversal_counts:
        yield _reversal(batch)
    if batch.counts:
        yield _findings(batch, "Imported", batch.counts, "outcome", "refused")
    elif batch.expected_counts:
        yield _findings(batch, "Dry run", batch.expected_counts, "expected", "expected-refused")
    yield Section("Columns", html=_mapping(batch), hint="Columns that are mapped to nothing are left out.")
    yield Section("File", list(_facts(batch)))


def _facts(batch: ImportBatch) -> Iterator[Fact]:
    yield Fact("Rows", f"{batch.row_count:,}", f"{batch.size_bytes:,} bytes")
    yield Fact("Uploaded", instant_shown(batch.created_at))
    yield Fact("By", code(batch.actor))
    yield Fact("Id", copyable(batch.public_id))
    if batch.job is not None:
        yield Fact("Job", link(record_url(Job, batch.job.public_id), batch.job.kind), batch.job.error)
    before = (
        ImportBatch.objects.filter(file_sha256=batch.file_sha256, id__lt=batch.id).order_by("-id").first()
    )
    if before is not None:
        yield Fact("The same file before", link(record_url(ImportBatch, before.public_id), before.public_id))
    yield Fact("On record", link(list_url(AuditRecord, q=batch.public_id), "Who did what"))


def _findings(
    batch: ImportBatch, title: str, counts: Mapping[str, int], column: str, download: str
) -> Section:
    refused = _rows(batch, **{column: RowOutcome.REFUSED})[:_REFUSED_SHOWN]
    done = _rows(batch, **{f"{column}__in": [each for each in RowOutcome.values if each != "refused"]})
    kind = _kind(batch)
    html = render_to_string(
        "admin/purser/import_findings.html",
        {
            "counts": [
                (RowOutcome(name).label, _tone(name), counts.get(name, 0)) for name in RowOutcome.values
            ],
            "amount": credits_spelled(counts.get("amount", 0)) if kind.amount else "",
            "amount_name": kind.amount[1] if kind.amount else "",
            "is_trial": column == "expected",
            "columns": batch.columns,
            "rows": [_row(kind, row, column) for row in done[:_SAMPLE]],
            "refused": [_row(kind, row, column) for row in refused],
            "refused_count": counts.get(RowOutcome.REFUSED, 0),
            "download": _rows_url(batch, download),
            "download_all": _rows_url(batch, "all"),
        },
    )
    hint = (
        "Nothing was written. Each row is decided anew when the import runs." if column == "expected" else ""
    )
    return Section(title, html=html, hint=hint)


def _reversal(batch: ImportBatch) -> Section:
    left = _rows(batch, reversal__in=(RowReversal.KEPT, RowReversal.PARTLY))[:_REFUSED_SHOWN]
    tones = {RowReversal.REVERSED: "good", RowReversal.PARTLY: "warning", RowReversal.KEPT: "bad"}
    html = render_to_string(
        "admin/purser/import_reversal.html",
        {
            "counts": [
                (RowReversal(name).label, tones[RowReversal(name)], batch.reversal_counts.get(name, 0))
                for name in RowReversal.values
            ],
            "reason": batch.reversal_reason,
            "rows": left,
            "download": _rows_url(batch, "kept"),
        },
    )
    return Section("Reversed", html=html)


def _rows(batch: ImportBatch, **wanted: Any) -> QuerySet[ImportRow]:
    return ImportRow.objects.filter(batch_id=batch.id, **wanted).order_by("position")


def _row(kind: ImportKind, row: ImportRow, column: str) -> dict[str, Any]:
    outcome = RowOutcome(getattr(row, column))
    return {
        "position": row.position,
        "line": row.line,
        "outcome": badge(outcome.label, _tone(outcome)),
        "label": row.object_label if row.object_id or outcome == RowOutcome.CHANGED else "",
        "changes": [
            (_label(kind, name), before, after)
            for name, (before, after) in row.details.get("changes", {}).items()
        ],
        "cells": [cell if len(cell) <= 60 else f"{cell[:59]}…" for cell in row.cells],
        "errors": [{**error, "field": _label(kind, error["field"])} for error in row.errors],
    }


def _label(kind: ImportKind, name: str) -> str:
    field = kind.field(name)
    return field.label if field else name


def _tone(outcome: str) -> str:
    return _OUTCOME_TONES[RowOutcome(outcome)]


def _mapping(batch: ImportBatch) -> str:
    sample = _rows(batch).first()
    examples = dict(zip(batch.columns, sample.cells, strict=True)) if sample else {}
    lines = [
        {
            "label": field.label,
            "column": batch.mapping.get(field.name, ""),
            "example": examples.get(batch.mapping.get(field.name, ""), "")[:60],
            "constant": batch.constants.get(field.name, ""),
        }
        for field in _kind(batch).fields
        if field.name in batch.mapping or field.name in batch.constants
    ]
    unused = [column for column in batch.columns if column not in batch.mapping.values()]
    return render_to_string("admin/purser/import_mapping.html", {"lines": lines, "unused": unused})


def _progress_panel(batch: ImportBatch) -> str:
    shown = {"url": _url("progress", batch), "is_open": _is_open(batch), "progress": _progress(batch)}
    return render_to_string("admin/purser/import_progress_panel.html", shown)


def _progress(batch: ImportBatch) -> str:
    job = batch.job
    assert job is not None  # noqa: S101 - there is progress only of a job
    total = job.total or batch.row_count
    return render_to_string(
        "admin/purser/import_progress.html",
        {
            "stage": ImportStage(batch.stage).label,
            "state": job.get_state_display(),
            "done": job.done,
            "total": total,
            "percent": min(100 * job.done // total, 100) if total else 100,
            "error": job.error,
        },
    )


def _buttons(batch: ImportBatch) -> Iterator[Button]:
    deeds = [
        ("start", "Start import", "play_arrow", "primary", batch.state == "checked"),
        ("start", "Go on", "play_arrow", "primary", _was_interrupted(batch)),
        ("resume", "Resume", "play_arrow", "primary", batch.state == "paused"),
        ("map", "Map columns", "view_column", "plain", _is_mappable(batch)),
        ("pause", "Pause", "pause", "plain", _is_open(batch)),
        ("cancel", "Cancel", "stop", "danger", _is_open(batch) or batch.state == "paused"),
        ("reverse", "Reverse", "undo", "danger", batch.state == "imported" or _was_interrupted(batch)),
        ("reverse", "Try the rest again", "undo", "danger", _is_reversed_in_part(batch)),
    ]
    for deed, label, icon, tone, is_possible in deeds:
        if is_possible:
            yield Button(label, _url(deed, batch), icon=icon, tone=tone, opens_dialog=True)


def _is_mappable(batch: ImportBatch) -> bool:
    return batch.stage in (ImportStage.UPLOADED, ImportStage.CHECK) and batch.state not in {
        "checking",
        "paused",
    }


def _was_interrupted(batch: ImportBatch) -> bool:
    return batch.stage == ImportStage.RUN and batch.state == "interrupted"


def _is_reversed_in_part(batch: ImportBatch) -> bool:
    if batch.stage != ImportStage.REVERSE:
        return False
    return batch.state == "interrupted" or (
        batch.state == "reversed" and batch.reversal_counts.get(RowReversal.KEPT, 0) > 0
    )


def _url(deed: str, batch: ImportBatch) -> str:
    return reverse(f"admin:customers_importbatch_{deed}", args=[batch.public_id])


def _rows_url(batch: ImportBatch, which: str) -> str:
    return reverse("admin:customers_importbatch_rows", args=[batch.public_id, which])


def _lines(batch: ImportBatch, wanted: Mapping[str, Any]) -> Iterator[str]:
    writer = csv.writer(Line())
    more = ["import_row", "import_line", "import_outcome", "import_errors", "import_made", "import_reversal"]
    yield writer.writerow([csv_cell(column) for column in (*batch.columns, *more)])
    for row in _rows_streamed(batch.environment_id, batch.id, wanted):
        said = "; ".join(
            f"{error['field']}: {error['message']}" if error["field"] else error["message"]
            for error in row.errors
        )
        result = [row.position, row.line, row.outcome or row.expected, said, row.object_label]
        undone = f"{row.reversal}: {row.reversal_note}" if row.reversal_note else row.reversal
        yield writer.writerow([csv_cell(cell) for cell in (*row.cells, *result, undone)])


def _rows_streamed(environment_id: UUID, batch_id: UUID, wanted: Mapping[str, Any]) -> Iterator[ImportRow]:
    """The answer is sent after the request's own look at the environment has ended, so every page takes its own."""
    last = 0
    while True:
        with environment_scope(environment_id):
            rows = ImportRow.objects.filter(batch_id=batch_id, position__gt=last, **wanted)
            page = list(rows.order_by("position")[:_ROWS_OF_A_PAGE])
        if not page:
            return
        yield from page
        last = page[-1].position


# --- Deeds


def _upload(request: HttpRequest, data: Mapping[str, Any]) -> ImportBatch:
    file = data["file"]
    return import_upload(
        caller=caller_of(request),
        kind=data["kind"],
        name=file.name,
        content=file.read(),
        now=of_admin(request).now,
    )


def _dialog(
    request: HttpRequest,
    batch: ImportBatch,
    *,
    title: str,
    submit: str,
    form: Callable[..., forms.Form],
    act: Callable[[Mapping[str, Any]], str],
    family: str,
    intro: str,
    **more: Any,
) -> Dialog:
    def deed(data: dict[str, Any], _key: str) -> Outcome:
        return Outcome(message=act(data), effect_id=batch.id, url=record_url(ImportBatch, batch.public_id))

    return Dialog(
        title=title,
        submit=submit,
        form=form,
        deed=deed,
        family=f"import.{family}",
        back=record_url(ImportBatch, batch.public_id),
        subject=f"{_title(batch)}: {batch.file_name}, {batch.row_count:,} rows",
        intro=intro,
        **more,
    )


def _map_dialog(request: HttpRequest, batch: ImportBatch) -> Dialog:
    kind = _kind(batch)

    def act(data: Mapping[str, Any]) -> str:
        mapping, constants = MappingForm.read(kind, data)
        checked = import_check(
            caller=caller_of(request),
            import_id=batch.id,
            mapping=mapping,
            constants=constants,
            now=of_admin(request).now,
            clock=system_now,
        )
        return "The dry run is done." if checked.state == "checked" else "The dry run is under way."

    return _dialog(
        request,
        batch,
        title="Which column is what",
        submit="Dry run",
        form=partial(MappingForm, kind, batch.columns),
        act=act,
        family="check",
        intro=f"{kind.intro} A text beside a column stands for rows without one. Nothing is written yet.",
        initial=MappingForm.initial_of(kind, batch.mapping, batch.constants),
    )


def _start_dialog(request: HttpRequest, batch: ImportBatch) -> Dialog:
    def act(_data: Mapping[str, Any]) -> str:
        begun = import_start(
            caller=caller_of(request),
            import_id=batch.id,
            amount_max=_amount_max(request, batch, is_reversal=False),
            now=of_admin(request).now,
            clock=system_now,
        )
        return "The rows are in." if begun.state == "imported" else "The import is under way."

    return _dialog(
        request,
        batch,
        title="Start this import" if batch.stage == ImportStage.CHECK else "Go on with this import",
        submit="Start import" if batch.stage == ImportStage.CHECK else "Go on",
        form=NothingForm,
        act=act,
        family="start",
        intro=_promise(batch),
    )


def _amount_max(request: HttpRequest, batch: ImportBatch, *, is_reversal: bool) -> int | None:
    """How many credits, in mc, this person may move alone by a file: as many as by hand."""
    deeds = _kind(batch).deeds
    if deeds is None:
        return None
    limit = limit_of(
        person=of_admin(request).user,
        environment_id=batch.environment_id,
        deed=deed_named(deeds[1] if is_reversal else deeds[0]),
    )
    return None if limit == UNLIMITED else int(limit * MC_PER_CREDIT)


def _promise(batch: ImportBatch) -> str:
    """What the dry run leads one to expect, in a sentence."""
    counts, kind = batch.expected_counts, _kind(batch)
    said = ", ".join(f"{counts.get(name, 0):,} {name}" for name in RowOutcome.values if counts.get(name))
    amount = f"; {credits_spelled(counts.get('amount', 0))} {kind.amount[1]}" if kind.amount else ""
    return f"By the dry run: {said}{amount}. Each row is brought in once, whatever happens meanwhile."


def _reverse_dialog(request: HttpRequest, batch: ImportBatch) -> Dialog:
    def act(data: Mapping[str, Any]) -> str:
        undone = import_reverse(
            caller=caller_of(request),
            import_id=batch.id,
            reason=data["reason"],
            amount_max=_amount_max(request, batch, is_reversal=True),
            now=of_admin(request).now,
            clock=system_now,
        )
        return "The import is reversed." if undone.state == "reversed" else "The reversal is under way."

    return _dialog(
        request,
        batch,
        title="Reverse this import",
        submit="Reverse import",
        form=ReasonForm,
        act=act,
        family="reverse",
        intro=_kind(batch).reversal,
        is_danger=True,
    )


def _job_dialog(
    label: str, intro: str, act_on: Callable[..., Job], request: HttpRequest, batch: ImportBatch
) -> Dialog:
    if batch.job_id is None:
        raise Http404("This import has no job yet.")

    def act(data: Mapping[str, Any]) -> str:
        job = act_on(caller=caller_of(request), job_id=batch.job_id, reason=data["reason"], now=system_now())
        return f"The job is {job.get_state_display().lower()}."

    return _dialog(
        request,
        batch,
        title=f"{label} this {ImportStage(batch.stage).label.lower()}",
        submit=label,
        form=ReasonForm,
        act=act,
        family=label.lower(),
        intro=intro,
    )


_DEEDS: Final[dict[str, Callable[[HttpRequest, ImportBatch], Dialog]]] = {
    "map": _map_dialog,
    "start": _start_dialog,
    "reverse": _reverse_dialog,
    "pause": partial(
        _job_dialog, "Pause", "It stops behind the present page and keeps its place.", job_pause
    ),
    "resume": partial(_job_dialog, "Resume", "It goes on from where it was.", job_resume),
    "cancel": partial(
        _job_dialog,
        "Cancel",
        "It stops behind the present page. What is in stays in, and can be reversed.",
        job_cancel,
    ),
}
