"""Ledger health: the proofs that were run, and what they found."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing.models import VerificationRun
from customers.admin.display import badge, copyable, instant_shown, json_shown
from customers.admin.records import Fact, Page, RecordAdmin, Section


@admin.register(VerificationRun)
class VerificationRunAdmin(RecordAdmin):
    noun, nouns = "ledger proof", "ledger proofs"
    icon = "verified_user"
    list_display = ("finished", "result", "accounts_shown", "entries_shown", "sealed_shown", "who")
    list_display_links = ("finished",)
    list_filter = ("ok",)

    @admin.display(description="Finished")
    def finished(self, run: VerificationRun) -> SafeString:
        return instant_shown(run.finished_at)

    @admin.display(description="Result")
    def result(self, run: VerificationRun) -> SafeString:
        return badge("In order", "good") if run.ok else badge(f"{run.faults:,} faults", "bad")

    @admin.display(description="Accounts")
    def accounts_shown(self, run: VerificationRun) -> str:
        return f"{run.accounts:,}"

    @admin.display(description="Entries")
    def entries_shown(self, run: VerificationRun) -> str:
        return f"{run.entries:,}"

    @admin.display(description="Sealed")
    def sealed_shown(self, run: VerificationRun) -> str:
        return f"{run.sealed_entries:,}"

    @admin.display(description="By")
    def who(self, run: VerificationRun) -> str:
        return run.actor

    def page(self, request: HttpRequest, record: VerificationRun) -> Page:
        facts = [
            Fact("Started", instant_shown(record.started_at)),
            Fact("Finished", instant_shown(record.finished_at)),
            Fact("Accounts", f"{record.accounts:,}"),
            Fact("Entries", f"{record.entries:,}"),
            Fact("Sealed entries", f"{record.sealed_entries:,}"),
            Fact(
                "Last seal",
                copyable(record.head_hash),
                "kept elsewhere, it proves that nothing was taken off the end",
            ),
            Fact("By", record.actor),
        ]
        sections = [Section("Proof", facts)]
        if record.findings:
            sections.append(Section("Findings", html=json_shown(record.findings)))
        return Page(
            heading="Ledger proof", kind="Ledger health", badges=[self.result(record)], sections=sections
        )
