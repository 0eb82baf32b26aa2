"""Jobs: how far each is, what it found, and waiting, going on, stopping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString

from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import badge, code, copyable, instant_shown, json_shown
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, record_url
from customers.kernel.clock import system_now
from customers.models import Job, JobResult, JobState
from customers.services.jobs import job_cancel, job_pause, job_resume

_TONES: Final = {
    JobState.QUEUED: "neutral",
    JobState.RUNNING: "info",
    JobState.PAUSED: "warning",
    JobState.DONE: "good",
    JobState.FAILED: "bad",
    JobState.CANCELED: "neutral",
}
_DEEDS: Final[dict[str, tuple[str, str, str, Callable[..., Job]]]] = {
    "pause": ("Pause", "pause", "It stops at its next step and keeps its place.", job_pause),
    "resume": ("Resume", "play_arrow", "It goes on from where it was.", job_resume),
    "cancel": ("Cancel", "stop", "It stops at its next step; what it found or did stays.", job_cancel),
}
_ALLOWED: Final = {
    JobState.QUEUED: ("pause", "cancel"),
    JobState.RUNNING: ("pause", "cancel"),
    JobState.PAUSED: ("resume", "cancel"),
}
#: Rows of result on a page; all of them are at `/v1/jobs/{id}/results`.
_ROWS_MAX: Final = 100


#: What else shows a job, as a label and an address; apps above register theirs.
JobLink = Callable[[Job], tuple[str, str] | None]
_links: Final[list[JobLink]] = []


def job_link_register(job_link: JobLink) -> None:
    _links.append(job_link)


@admin.register(Job)
class JobAdmin(RecordAdmin):
    noun, nouns = "job", "jobs"
    id_prefix = "job"
    icon = "manufacturing"
    list_display = ("kind", "state_shown", "progress_shown", "started_by", "created", "finished", "id_shown")
    list_display_links = ("kind",)
    list_filter = ("state",)
    search_fields = ("id",)
    search_help_text = "Job id (job_…)"

    @admin.display(description="State")
    def state_shown(self, job: Job) -> SafeString:
        return _badge(job)

    @admin.display(description="Progress")
    def progress_shown(self, job: Job) -> str:
        return _progress(job)

    @admin.display(description="Started by")
    def started_by(self, job: Job) -> SafeString:
        return code(job.actor)

    @admin.display(description="Created")
    def created(self, job: Job) -> SafeString:
        return instant_shown(job.created_at)

    @admin.display(description="Finished")
    def finished(self, job: Job) -> SafeString:
        return instant_shown(job.finished_at)

    @admin.display(description="Job")
    def id_shown(self, job: Job) -> SafeString:
        return code(job.public_id)

    def page(self, request: HttpRequest, record: Job) -> Page:
        facts = [
            Fact("Progress", _progress(record)),
            Fact("Started by", code(record.actor)),
            Fact("Created", instant_shown(record.created_at)),
            Fact("Begun", instant_shown(record.started_at), f"worker {record.attempts}"),
            Fact("Last heard of", instant_shown(record.heartbeat_at)),
            Fact("Finished", instant_shown(record.finished_at)),
            Fact("Id", copyable(record.public_id)),
        ]
        return Page(
            heading=record.kind,
            kind="Job",
            badges=[_badge(record)],
            sections=[Section("Job", facts), *_findings(record)],
            buttons=self._buttons(request, record),
        )

    def _buttons(self, request: HttpRequest, job: Job) -> list[Button]:
        shown = [Button(*found, icon="compare_arrows") for job_link in _links if (found := job_link(job))]
        if not self._may(request):
            return shown
        return shown + [
            Button(
                _DEEDS[deed][0],
                reverse(f"admin:customers_job_{deed}", args=[job.public_id]),
                icon=_DEEDS[deed][1],
                tone="danger" if deed == "cancel" else "plain",
                opens_dialog=True,
            )
            for deed in _ALLOWED.get(JobState(job.state), ())
        ]

    def _may(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("customers.change_job"))

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.deed_view, _DEEDS)

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        job = self.found_or_404(request, object_id)
        label, _, intro, _ = _DEEDS[deed]
        dialog = Dialog(
            title=f"{label} this job",
            submit=label,
            form=ReasonForm,
            deed=partial(_do, request, job, deed),
            family=f"job.{deed}",
            back=record_url(Job, job.public_id),
            subject=f"{job.kind}: {_progress(job)}",
            intro=intro,
        )
        return self.dialog_answer(request, dialog, allowed=self._may(request))


def _badge(job: Job) -> SafeString:
    return badge(job.get_state_display(), _TONES[JobState(job.state)])


def _progress(job: Job) -> str:
    if job.total is None:
        idle = "nothing to do" if job.state == JobState.DONE else "nothing yet"
        return f"{job.done:,}" if job.done else idle
    percent = 100 * job.done // job.total if job.total else 100
    return f"{percent} % ({job.done:,} of {job.total:,})"


def _findings(job: Job) -> list[Section]:
    """What it was asked, what it answers, and the latest of its rows."""
    sections = [Section("Asked", html=json_shown(job.parameters))]
    if job.error:
        sections.append(Section("Error", [Fact("What happened", job.error)]))
    if job.result is not None:
        sections.append(Section("Result", html=json_shown(job.result)))
    rows = [row.data for row in JobResult.objects.filter(job_id=job.id).order_by("-position")[:_ROWS_MAX]]
    if rows:
        sections.append(Section("Rows", html=_table(rows), hint=f"The latest {len(rows):,}, newest first."))
    return sections


def _table(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[row.get(name) for name in columns] for row in rows]
    heads = [name.replace("_", " ").capitalize() for name in columns]
    return render_to_string("admin/purser/job_rows.html", {"heads": heads, "rows": cells})


def _do(request: HttpRequest, job: Job, deed: str, data: Mapping[str, Any], _key: str) -> Outcome:
    act = _DEEDS[deed][3]
    after = act(caller=caller_of(request), job_id=job.id, reason=data["reason"], now=system_now())
    return Outcome(message=f"The job is {after.get_state_display().lower()}.", effect_id=job.id)
