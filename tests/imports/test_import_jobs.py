"""Long imports: in the background, stopped, killed, gone on with; each row once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from django.conf import settings

from billing.models import CreditBlock, LedgerEntry
from billing.services.verification import ledger_verify
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Customer, Job
from customers.services import import_jobs, jobs
from customers.services.jobs import job_run
from metering.models import UsageEvent
from tests.conftest import Api, Character, run_together
from tests.imports.filing import csv_of, reverse, rows, shown, start, stored, upload, work
from tests.making import balance, make_metric

MANY = 120


def opening(count: int, *, each: str = "1") -> bytes:
    return csv_of("customer,credits", *(f"user_{number},{each}" for number in range(count)))


def people(api: Api, acme: Character, count: int) -> None:
    """By the import itself, which is the quickest way."""
    batch = upload(api, csv_of("external_id", *(f"user_{number}" for number in range(count))))
    for step in (None, start):
        if step is not None:
            step(api, batch)
        if count > 50:
            work(acme, batch)
    assert shown(api, batch)["outcome"]["made"] == count


def grants(api: Api, acme: Character, count: int) -> dict[str, Any]:
    batch = upload(api, opening(count), kind="grants", constants={"reason": "Opening balance"})
    work(acme, batch)
    return batch


def later() -> datetime:
    return system_now() + jobs.SILENCE + timedelta(seconds=1)


def granted_once(acme: Character, count: int) -> None:
    with environment_scope(acme.test.id):
        assert CreditBlock.objects.count() == count
        assert LedgerEntry.objects.filter(kind="grant").count() == count
        assert set(CreditBlock.objects.values_list("remaining_mc", flat=True)) == {1000}
        assert ledger_verify(environment_id=acme.test.id).findings == []


def test_a_long_file_is_a_job_with_progress(api: Api, acme: Character) -> None:
    batch = upload(api, csv_of("external_id", *(f"user_{number}" for number in range(MANY))))
    assert (batch["state"], batch["job"]["kind"], batch["job"]["state"]) == (
        "checking",
        "customers.import_check",
        "queued",
    )
    early = api.post(f"/v1/imports/{batch['id']}/start")
    assert early.refusal() == (409, "import-not-ready")
    work(acme, batch)
    checked = shown(api, batch)
    assert (checked["state"], checked["job"]["progress"]) == ("checked", {"done": MANY, "total": MANY})
    assert start(api, batch)["state"] == "importing"
    work(acme, batch)
    done = shown(api, batch)
    assert (done["state"], done["outcome"]["made"]) == ("imported", MANY)
    assert done["job"]["result"]["made"] == MANY
    assert api.get(f"/v1/jobs/{done['job']['id']}")["progress"] == {"done": MANY, "total": MANY}
    assert [row["outcome"] for row in rows(api, batch)] == ["made"] * MANY


def test_a_dry_run_of_several_pages_leaves_nothing(api: Api, acme: Character) -> None:
    people(api, acme, MANY)
    with environment_scope(acme.test.id):
        before = list(Customer.objects.order_by("id").values())
    batch = grants(api, acme, MANY)
    assert shown(api, batch)["expected"]["amount"] == MANY * 1000
    with environment_scope(acme.test.id):
        assert list(Customer.objects.order_by("id").values()) == before
        assert CreditBlock.objects.count() == 0
        assert LedgerEntry.objects.count() == 0


def test_a_row_that_an_earlier_page_says_already_is_refused(api: Api, acme: Character) -> None:
    lines = [f"user_{number}" for number in range(MANY)] + ["user_3"]
    batch = upload(api, csv_of("external_id", *lines))
    work(acme, batch)
    assert shown(api, batch)["expected"] == {
        "made": MANY,
        "changed": 0,
        "unchanged": 0,
        "refused": 1,
        "amount": 0,
    }
    assert rows(api, batch, "&expected=refused")[0]["errors"][0]["message"] == (
        "Row 4 of this file is about the same."
    )


def test_an_import_is_paused_and_goes_on(api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a worker that is told to wait after its first page
    people(api, acme, MANY)
    batch = start(api, grants(api, acme, MANY))
    told = after_pages(monkeypatch, 1, lambda: api.post(f"/v1/jobs/{batch['job']['id']}/pause"))
    work(acme, batch)
    assert told == [200]
    half = shown(api, batch)
    assert (half["state"], half["outcome"]["made"]) == ("paused", 50)
    # when
    assert api.post(f"/v1/jobs/{batch['job']['id']}/resume").status == 200
    work(acme, batch)
    # then
    assert shown(api, batch)["outcome"]["made"] == MANY
    granted_once(acme, MANY)


def test_an_import_that_was_canceled_is_started_again_or_reversed(
    api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    people(api, acme, MANY)
    batch = start(api, grants(api, acme, MANY))
    after_pages(monkeypatch, 1, lambda: api.post(f"/v1/jobs/{batch['job']['id']}/cancel"))
    work(acme, batch)
    half = shown(api, batch)
    assert (half["state"], half["job"]["state"], half["outcome"]["made"]) == ("interrupted", "canceled", 50)
    assert len(rows(api, batch, "&outcome=pending")) == MANY - 50
    # when
    assert start(api, batch)["state"] == "importing"
    work(acme, batch)
    # then
    assert shown(api, batch)["outcome"]["made"] == MANY
    granted_once(acme, MANY)
    # and all of it is taken back by a job
    assert reverse(api, batch)["state"] == "reversing"
    work(acme, batch)
    assert shown(api, batch)["reversal"] == {"reversed": MANY, "partly": 0, "kept": 0}
    assert balance(api, of="user_7")["balance"] == 0


def test_a_worker_that_was_taken_for_dead_brings_in_nothing_of_its_page(
    api: Api, acme: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a worker that was overtaken while it was at its second page
    people(api, acme, MANY)
    batch = start(api, grants(api, acme, MANY))
    job_id = job_of(acme, batch)

    def overtake() -> Any:
        # Elsewhere, another worker.
        return subprocess.run(
            [sys.executable, "-c", _WORKER, str(acme.test.id), str(job_id), "later"],
            cwd=Path(settings.BASE_DIR),
            env=os.environ,
            check=True,
        )

    after_pages(monkeypatch, 1, overtake)
    work(acme, batch)
    # then
    done = shown(api, batch)
    assert (done["state"], done["outcome"]["made"]) == ("imported", MANY)
    granted_once(acme, MANY)


_WORKER = """
import sys, time
from datetime import timedelta
from uuid import UUID
import django
django.setup()
from customers.kernel.clock import system_now
from customers.services import import_jobs, jobs
kept = import_jobs._kept
if sys.argv[3] == "slowly":
    def slow(*args):
        time.sleep(0.3)
        return kept(*args)
    import_jobs._kept = slow
ahead = jobs.SILENCE + timedelta(seconds=1) if sys.argv[3] == "later" else timedelta(0)
jobs.job_run(environment_id=UUID(sys.argv[1]), job_id=UUID(sys.argv[2]), clock=lambda: system_now() + ahead)
"""


@pytest.mark.faults
def test_a_worker_killed_in_the_middle_of_a_page_is_taken_over_from(api: Api, acme: Character) -> None:
    # given a worker process that dies between a page's effects and its commit
    people(api, acme, MANY)
    batch = start(api, grants(api, acme, MANY))
    job_id = job_of(acme, batch)
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(acme.test.id), str(job_id), "slowly"],
        cwd=Path(settings.BASE_DIR),
        env=os.environ,
    )
    patience = monotonic() + 60
    while shown(api, batch)["outcome"]["made"] < 50 and monotonic() < patience:
        sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    half = shown(api, batch)
    assert half["state"] == "importing"
    assert 50 <= half["outcome"]["made"] < MANY
    granted_once(acme, half["outcome"]["made"])
    # when it has been silent for long, and another one comes
    job_run(environment_id=acme.test.id, job_id=job_id, clock=later)
    # then
    done = shown(api, batch)
    assert (done["state"], done["outcome"]["made"]) == ("imported", MANY)
    granted_once(acme, MANY)


@pytest.mark.slow
def test_five_thousand_rows(api: Api, acme: Character) -> None:
    # given events of fifty customers, with a bad one now and then
    people(api, acme, 50)
    make_metric(api, cost_type="flat", unit_cost=1)
    granted = start(api, upload(api, opening(50), kind="grants", constants={"reason": "Opening balance"}))
    assert granted["outcome"]["amount"] == 50_000
    lines = [f"user_{number % 50},{'api_call' if number % 100 else 'nothing'},1" for number in range(5_000)]
    batch = upload(api, csv_of("customer,metric,value", *lines), kind="events")
    # when
    work(acme, batch)
    assert shown(api, batch)["expected"]["made"] == 4_950
    start(api, batch)
    work(acme, batch)
    # then
    done = shown(api, batch)
    assert done["outcome"] == {"made": 4_950, "changed": 0, "unchanged": 0, "refused": 50, "amount": 4_950}
    with environment_scope(acme.test.id):
        assert UsageEvent.objects.count() == 4_950
        assert stored(batch).filter(outcome="made", object_id__isnull=False).count() == 4_950
        assert ledger_verify(environment_id=acme.test.id).findings == []
    assert balance(api, of="user_0")["balance"] == 1000 - 50
    assert balance(api, of="user_1")["balance"] == 1000 - 100


def test_the_database_keeps_rows_of_others_out_of_sight(api: Api, acme: Character, rival: Character) -> None:
    batch = upload(api, csv_of("external_id", "ada"))
    with environment_scope(rival.test.id):
        assert stored(batch).count() == 0
        assert stored(batch).update(outcome="made") == 0
    with environment_scope(acme.test.id):
        assert [row.outcome for row in stored(batch)] == [""]


def job_of(acme: Character, batch: dict[str, Any]) -> Any:
    with environment_scope(acme.test.id):
        return Job.objects.filter(kind="grants.import").latest("id").id


def after_pages(monkeypatch: pytest.MonkeyPatch, pages: int, deed: Callable[[], Any]) -> list[Any]:
    """Do something elsewhere, once, when so many pages are committed and the worker has begun with the next."""
    brought, seen = import_jobs._brought, [0]
    told: list[Any] = []

    def counting(*args: Any) -> Any:
        seen[0] += 1
        if seen[0] == pages + 1:
            told.extend(getattr(each, "status", None) for each in run_together(1, lambda _: deed()))
        return brought(*args)

    monkeypatch.setattr(import_jobs, "_brought", counting)
    return told
