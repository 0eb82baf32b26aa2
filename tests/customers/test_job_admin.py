"""Jobs in the admin: how far they are, what they found, and waiting, going on, stopping."""

from __future__ import annotations

from typing import Any

import pytest

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Job
from customers.services.jobs import JobWork, job_kind, job_run, job_start
from tests.conftest import Character
from tests.desk import Desk, somebody

JOBS = "/admin/customers/job/"


@job_kind("tests.desk", resource="catalog")
def _find_two(work: JobWork) -> dict[str, Any]:
    rows = [{"customer_id": "c1", "difference": -3000}, {"customer_id": "c2", "difference": 5}]
    work.save(done=2, checkpoint={}, results=rows, total=2)
    return {"winners": 1, "losers": 1}


@pytest.fixture
def job(acme: Character) -> Job:
    with environment_scope(acme.test.id):
        return job_start(
            caller=acme.test.caller, kind="tests.desk", parameters={"of": "everyone"}, now=system_now()
        )


@pytest.fixture
def desk(acme: Character, operator: Any) -> Desk:
    return Desk(operator, acme.test)


def test_a_job_is_listed_and_shown_with_what_it_found(desk: Desk, acme: Character, job: Job) -> None:
    assert "nothing yet" in desk.open(JOBS)

    job_run(environment_id=acme.test.id, job_id=job.id, clock=system_now)

    assert "100 % (2 of 2)" in desk.open(JOBS)
    page = desk.open(f"{JOBS}{job.public_id}/change/")
    for shown in ("Done", "winners", "c1", "-3000", "Difference", "everyone"):
        assert shown in page
    assert f"{JOBS}{job.public_id}/pause/" not in page
    assert desk.queries(f"{JOBS}{job.public_id}/change/") <= 15
    assert desk.queries(JOBS) <= 15


def test_a_job_waits_goes_on_and_stops_with_a_reason(desk: Desk, acme: Character, job: Job) -> None:
    for deed, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "canceled")):
        desk.send(f"{JOBS}{job.public_id}/{deed}/", {"reason": f"to {deed}"})
        with environment_scope(acme.test.id):
            assert Job.objects.get().state == state
    with environment_scope(acme.test.id):
        records = AuditRecord.objects.filter(object_id=job.public_id).order_by("id")
        assert [(record.action, record.reason) for record in records] == [
            ("job.paused", "to pause"),
            ("job.resumed", "to resume"),
            ("job.canceled", "to cancel"),
        ]


def test_a_finished_job_takes_nothing_more(desk: Desk, acme: Character, job: Job) -> None:
    job_run(environment_id=acme.test.id, job_id=job.id, clock=system_now)

    answer = desk.send(f"{JOBS}{job.public_id}/cancel/", {"reason": "late"})

    assert "The job is done." in answer.content.decode()
    with environment_scope(acme.test.id):
        assert Job.objects.get().state == "done"


def test_a_viewer_looks_and_does_not_touch(acme: Character, job: Job) -> None:
    viewer = Desk(somebody("viewer"), acme.test)

    assert f"{JOBS}{job.public_id}/pause/" not in viewer.open(f"{JOBS}{job.public_id}/change/")
    viewer.open(f"{JOBS}{job.public_id}/pause/", status=403)
