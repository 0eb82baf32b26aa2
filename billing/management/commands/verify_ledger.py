"""`manage.py verify_ledger`: proves every invariant of the ledger and its seals, and names what breaks one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing.models import VerificationRun
from billing.services.verification import FINDINGS_MAX, Verification, environments_all, verification_run
from customers.kernel.clock import elapsed_seconds, system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import uuid_parse
from customers.models import Customer


class Command(BaseCommand):
    help = "Prove every invariant of the ledger. Exit code 1, and a sentence for each fault, when one does not hold."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--environment", help="only this environment's id; otherwise all, one after the other"
        )
        parser.add_argument("--customer", help="only this customer's id")
        parser.add_argument("--json", action="store_true", help="one JSON object per environment")

    def handle(self, *_args: Any, **options: Any) -> None:
        runs = list(self._runs(options))
        if not runs:
            raise CommandError(
                "There is no such customer." if options["customer"] else "There is no environment."
            )
        if not all(run.ok for run in runs):
            sys.exit(1)

    def _runs(self, options: dict[str, Any]) -> Iterator[VerificationRun]:
        for environment_id in _environments(options["environment"]):
            customer_id = None
            if options["customer"]:
                customer_id = _customer(environment_id, options["customer"])
                if customer_id is None:
                    continue
            bar = ProgressBar(self.stderr)
            run = verification_run(
                environment_id=environment_id, customer_id=customer_id, progress=bar.show, now=system_now()
            )
            bar.end()
            self.stdout.write(_as_json(run) if options["json"] else _as_text(run))
            yield run


def _environments(text: str | None) -> list[UUID]:
    known = list(environments_all())
    if text is None:
        return known
    wanted = uuid_parse(text)
    if wanted is None or wanted not in known:
        raise CommandError(f"There is no environment {text}.")
    return [wanted]


def _customer(environment_id: UUID, text: str) -> UUID | None:
    with environment_scope(environment_id):
        return Customer.objects.filter(public_id=text).values_list("id", flat=True).first()


def _as_text(run: VerificationRun) -> str:
    lines = [f"FAULT {finding['message']}" for finding in run.findings]
    if run.faults > FINDINGS_MAX:
        lines.append(f"… and {run.faults - FINDINGS_MAX} more.")
    lines.append(
        f"Environment {run.environment_id}: {run.entries:,} entries of {run.accounts:,} accounts, "
        f"{run.sealed_entries:,} sealed, {'in order' if run.ok else f'{run.faults:,} FAULTS'}."
    )
    if run.head_hash:
        lines.append(f"Last seal {run.head_hash}: kept elsewhere, it proves later that none was taken away.")
    return "\n".join(lines)


def _as_json(run: VerificationRun) -> str:
    return json.dumps(
        {
            "environment": str(run.environment_id),
            "ok": run.ok,
            "accounts": run.accounts,
            "entries": run.entries,
            "sealed_entries": run.sealed_entries,
            "head_hash": run.head_hash,
            "faults": run.faults,
            "findings": run.findings,
        }
    )


class ProgressBar:
    """How far, and how fast, on a terminal; silent elsewhere."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.began = elapsed_seconds()
        self.is_shown = False

    def show(self, done: Verification) -> None:
        if not self.stream.isatty():
            return
        self.is_shown = True
        share = min(1.0, done.entries / done.entries_in_all) if done.entries_in_all else 1.0
        rate = done.entries / max(elapsed_seconds() - self.began, 0.001)
        bar = "█" * round(30 * share)
        self.stream.write(f"\r{bar:<30} {share:4.0%}  {done.entries:,} entries, {rate:,.0f}/s ", ending="")
        self.stream.flush()

    def end(self) -> None:
        if self.is_shown:
            self.stream.write("")
