"""Reconciliations: what was compared, and what did not agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from billing.admin.invoice_actions import CHANGE
from billing.admin.invoice_text import money_shown
from billing.models import Invoice, Payment, Reconciliation
from billing.services.reconciliations import DIFFERENCES_MAX, reconciliation_start
from customers.admin.dialogs import Dialog, Outcome, caller_of
from customers.admin.display import badge, copyable, instant_shown
from customers.admin.fields import InstantInput
from customers.admin.records import Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.models import Job


class ReconcileForm(forms.Form):
    begin = InstantInput(label="From (UTC)")
    end = InstantInput(label="Until (UTC)", help_text="At most 366 days later.")


@admin.register(Reconciliation)
class ReconciliationAdmin(RecordAdmin):
    noun, nouns = "reconciliation", "reconciliations"
    id_prefix = "rcn"
    icon = "balance"
    list_display = ("window", "result", "who", "created")
    list_display_links = ("window",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.defer("differences")

    @admin.display(description="Window")
    def window(self, made: Reconciliation) -> str:
        return f"{made.begin:%Y-%m-%d %H:%M} to {made.end:%Y-%m-%d %H:%M}"

    @admin.display(description="Result")
    def result(self, made: Reconciliation) -> SafeString:
        count = made.totals["differences"]
        words = "1 difference" if count == 1 else f"{count:,} differences"
        return badge(words, "bad") if count else badge("Agrees", "good")

    @admin.display(description="By")
    def who(self, made: Reconciliation) -> str:
        return made.actor

    @admin.display(description="Made")
    def created(self, made: Reconciliation) -> SafeString:
        return instant_shown(made.created_at)

    def page(self, request: HttpRequest, record: Reconciliation) -> Page:
        sections = [Section("Reconciliation", list(self._facts(record)))]
        if record.differences:
            sections.append(Section("Differences", html=_differences_html(record), hint=_hint(record)))
        return Page(
            heading=self.window(record),
            kind="Reconciliation",
            badges=[self.result(record)],
            sections=sections,
        )

    def _facts(self, made: Reconciliation) -> Iterator[Fact]:
        for row in made.totals["invoices"]:
            hint = f"{row['count']:,} invoices"
            yield Fact(f"Invoiced, {row['currency']}", money_shown(row["total"], row["currency"]), hint)
            yield Fact(f"Still due, {row['currency']}", money_shown(row["due"], row["currency"]))
        for row in made.totals["payments"]:
            hint = f"{row['count']:,} payments"
            yield Fact(f"Paid by {row['provider']}", money_shown(row["amount"], row["currency"]), hint)
        provider = made.totals["provider"]
        yield Fact("Provider", provider["name"] or "none", provider["status"].replace("-", " "))
        for row in provider.get("payments", ()):
            yield Fact("It says was paid", money_shown(row["amount"], row["currency"]))
        yield Fact("Made", instant_shown(made.created_at))
        yield Fact("By", made.actor)
        yield Fact("Id", copyable(made.public_id))

    # --- Another one

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever bills. It only reads here, and yet it is a job, and asks the provider for everything it has."""
        return request.user.has_perm(CHANGE) and environment_of(request) is not None

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        now = of_admin(request).now.replace(microsecond=0)
        dialog = Dialog(
            title="Reconcile",
            submit="Reconcile",
            form=ReconcileForm,
            deed=partial(_reconcile, request),
            family="reconciliation.make",
            back=list_url(Reconciliation),
            subject=str(environment_of(request)),
            intro="Invoices, payments, credit and the provider are laid side by side. It changes nothing.",
            initial={"begin": now - timedelta(days=30), "end": now},
        )
        return self.dialog_answer(request, dialog, allowed=self.has_add_permission(request))


def _hint(made: Reconciliation) -> str:
    count = made.totals["differences"]
    return f"The first {DIFFERENCES_MAX:,} of {count:,}." if count > DIFFERENCES_MAX else ""


def _differences_html(made: Reconciliation) -> str:
    rows = [_row(each) for each in made.differences]
    return render_to_string("admin/purser/differences.html", {"rows": rows})


def _row(difference: Mapping[str, Any]) -> dict[str, Any]:
    def shown(side: str) -> Any:
        amount = difference[side]
        return "–" if amount is None else money_shown(amount, difference["currency"] or "USD")

    return {
        "what": difference["kind"].replace("-", " ").capitalize(),
        "detail": difference["detail"],
        "ours": shown("ours"),
        "theirs": shown("theirs"),
        "about": list(_about(difference)),
    }


def _about(difference: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(id, its page)."""
    for model, name in ((Invoice, "invoice_id"), (Payment, "payment_id")):
        if difference[name]:
            yield difference[name], record_url(model, difference[name])
    for name in ("topup_id", "provider_payment_id"):
        if difference[name]:
            yield difference[name], ""


def _reconcile(request: HttpRequest, data: Mapping[str, Any], _key: str) -> Outcome:
    job = reconciliation_start(caller=caller_of(request), begin=data["begin"], end=data["end"])
    return Outcome(
        message="Reconciling; the job says when it is done.",
        effect_id=job.id,
        url=record_url(Job, job.public_id),
    )
