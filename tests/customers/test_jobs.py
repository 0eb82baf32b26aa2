"""Jobs: done once, seen with their progress, taken over from workers that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from textwrap import dedent
from time import monotonic, sleep
from typing import Any
from uuid import UUID, uuid4

import pytest
from celery import current_app
from django.conf import settings

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Job, JobResult, JobState
from customers.services import jobs
from customers.services.jobs import JobWork, job_cancel, job_kind, job_run, job_start, jobs_sweep
from tests.conftest import Api, Character

COUNT = 40


@pytest.fixture
def kind() -> Iterator[str]:
    """A kind of job of this test's own."""
    name = f"tests.{uuid4().hex[:8]}"
    yield name
    jobs._kinds.pop(name, None)


def counting(work: JobWork) -> dict[str, Any]:
    """Finds the numbers from 1 to COUNT, saving each."""
    for number in range((work.checkpoint or {"last": 0})["last"] + 1, COUNT + 1):
        work.save(done=number, checkpoint={"last": number}, results=[{"number": number}], total=COUNT)
    return {"sum": COUNT * (COUNT + 1) // 2}


def start(acme: Character, kind: str, **parameters: Any) -> Job:
    with environment_scope(acme.test.id):
        return job_start(caller=acme.test.caller, kind=kind, parameters=parameters, now=system_now())


def run(acme: Character, job: Job, clock: Any = system_now) -> Job:
    job_run(environment_id=acme.test.id, job_id=job.id, clock=clock)
    with environment_scope(acme.test.id):
        return Job.objects.get(id=job.id)


def numbers(acme: Character, job: Job) -> list[int]:
    with environment_scope(acme.test.id):
        rows = JobResult.objects.filter(job=job).order_by("position").values_list("position", "data")
        assert [position for position, _ in rows] == list(range(1, len(rows) + 1))
        return [data["number"] for _, data in rows]


def later() -> datetime:
    return system_now() + jobs.SILENCE + timedelta(seconds=1)


def test_a_job_is_queued_done_and_shown(acme: Character, api: Api, kind: str) -> None:
    job_kind(kind, resource="catalog")(counting)
    job = start(acme, kind, colour="red")
    queued = api.get(f"/v1/jobs/{job.public_id}")
    assert (queued["state"], queued["progress"], queued["result"]) == (
        "queued",
        {"done": 0, "total": None},
        None,
    )

    run(acme, job)

    done = api.get(f"/v1/jobs/{job.public_id}").json
    assert done["state"] == "done"
    assert done["progress"] == {"done": COUNT, "total": COUNT}
    assert done["result"] == {"sum": 820}
    assert done["kind"] == kind
    assert done["error"] == ""
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert numbers(acme, job) == list(range(1, COUNT + 1))


def test_results_come_in_pages(acme: Character, api: Api, kind: str) -> None:
    job_kind(kind, resource="catalog")(counting)
    job = start(acme, kind)
    run(acme, job)

    first = api.get(f"/v1/jobs/{job.public_id}/results?limit=30")
    assert [row["number"] for row in first["data"]] == list(range(40, 10, -1))
    second = api.get(f"/v1/jobs/{job.public_id}/results?limit=30&cursor={first['pagination']['next_cursor']}")
    assert [row["number"] for row in second["data"]] == list(range(10, 0, -1))
    assert second["pagination"]["has_more"] is False


def test_a_doorbell_that_rings_twice_does_nothing_more(acme: Character, kind: str) -> None:
    runs: list[int] = []

    def once(_work: JobWork) -> dict[str, Any]:
        runs.append(1)
        return {}

    job_kind(kind, resource="catalog")(once)
    job = start(acme, kind)
    run(acme, job)
    finished = run(acme, job)
    assert (runs, finished.attempts) == ([1], 1)


def test_of_workers_at_once_one_does_the_job(acme: Character, kind: str, together: Any) -> None:
    job_kind(kind, resource="catalog")(counting)
    job = start(acme, kind)
    together(5, lambda _: job_run(environment_id=acme.test.id, job_id=job.id, clock=system_now))
    assert numbers(acme, job) == list(range(1, COUNT + 1))
    with environment_scope(acme.test.id):
        assert Job.objects.get(id=job.id).attempts == 1


def test_a_failure_is_shown(acme: Character, api: Api, kind: str) -> None:
    def failing(work: JobWork) -> dict[str, Any]:
        work.save(done=1, checkpoint=None, results=[{"number": 1}])
        raise ValueError("the sky is falling")

    job_kind(kind, resource="catalog")(failing)
    job = start(acme, kind)
    assert run(acme, job).state == JobState.FAILED
    shown = api.get(f"/v1/jobs/{job.public_id}")
    assert (shown["state"], shown["error"]) == ("failed", "ValueError: the sky is falling")
    assert numbers(acme, job) == [1]


def test_who_comes_back_after_being_taken_for_dead_saves_nothing(acme: Character, kind: str) -> None:
    # given a worker that falls silent in the middle, while another one takes over and finishes
    def slow(work: JobWork) -> dict[str, Any]:
        if work.done == 0:
            work.save(done=1, checkpoint={"last": 1}, results=[{"number": 1}])
            run(acme, job, clock=later)
            work.save(done=2, checkpoint={"last": 2}, results=[{"number": 99}])
        return counting(work)

    job_kind(kind, resource="catalog")(slow)
    job = start(acme, kind)
    finished = run(acme, job)
    assert (finished.state, finished.attempts, finished.result) == (JobState.DONE, 2, {"sum": 820})
    assert numbers(acme, job) == list(range(1, COUNT + 1))


def test_a_canceled_job_stops_at_its_next_save(acme: Character, api: Api, kind: str) -> None:
    def interrupted(work: JobWork) -> dict[str, Any]:
        work.save(done=1, checkpoint=None, results=[{"number": 1}])
        assert api.post(f"/v1/jobs/{job.public_id}/cancel").status == 200
        with environment_scope(acme.test.id):
            work.save(done=2, checkpoint=None, results=[{"number": 2}])
        raise AssertionError("went on")

    job_kind(kind, resource="catalog")(interrupted)
    job = start(acme, kind)
    assert run(acme, job).state == JobState.CANCELED
    assert numbers(acme, job) == [1]
    assert api.post(f"/v1/jobs/{job.public_id}/cancel").refusal() == (409, "job-finished")


def test_a_job_that_kills_its_workers_is_given_up(acme: Character, kind: str) -> None:
    job_kind(kind, resource="catalog")(counting)
    job = start(acme, kind)
    with environment_scope(acme.test.id):
        Job.objects.filter(id=job.id).update(attempts=5)
    finished = run(acme, job)
    assert (finished.state, finished.error) == (JobState.FAILED, "Given up after 5 attempts.")


def test_the_sweep_rings_for_what_nobody_works_on(acme: Character, kind: str, monkeypatch: Any) -> None:
    job_kind(kind, resource="catalog")(counting)
    rung: list[UUID] = []
    job = start(acme, kind)
    monkeypatch.setattr(jobs, "job_ring", lambda _environment, job_id: rung.append(job_id))

    jobs_sweep(now=system_now())
    assert job.id not in rung  # its own doorbell is on the way
    jobs_sweep(now=later())
    assert job.id in rung

    rung.clear()
    run(acme, job)
    jobs_sweep(now=later())
    assert job.id not in rung


def test_a_broker_that_is_away_does_not_refuse_the_job(acme: Character, kind: str, monkeypatch: Any) -> None:
    job_kind(kind, resource="catalog")(counting)

    def away(*_args: Any, **_options: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(current_app, "send_task", away)
    assert start(acme, kind).state == JobState.QUEUED


_WORKER = """
import os, sys, time
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
django.setup()
from uuid import UUID
from customers.kernel.clock import system_now
from customers.services.jobs import job_kind, job_run

def slow(work):
    for number in range(1, 1000):
        work.save(done=number, checkpoint={"last": number}, results=[{"number": number}])
        time.sleep(0.03)

job_kind(sys.argv[1], resource="catalog")(slow)
job_run(environment_id=UUID(sys.argv[2]), job_id=UUID(sys.argv[3]), clock=system_now)
"""


@pytest.mark.faults
def test_a_worker_killed_in_the_middle_is_taken_over_from(acme: Character, kind: str) -> None:
    # given a worker process that dies without a word
    job_kind(kind, resource="catalog")(counting)
    job = start(acme, kind)
    worker = subprocess.Popen(
        [sys.executable, "-c", dedent(_WORKER), kind, str(acme.test.id), str(job.id)],
        cwd=Path(settings.BASE_DIR),
        env=os.environ,
    )
    patience = monotonic() + 30
    while len(numbers(acme, job)) < 3 and monotonic() < patience:
        sleep(0.02)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    found = numbers(acme, job)
    assert 3 <= len(found) < COUNT
    # then nobody takes it over before it has been silent for long
    assert run(acme, job).state == JobState.RUNNING
    # and then it goes on, with each number found once
    finished = run(acme, job, clock=later)
    assert (finished.state, finished.attempts) == (JobState.DONE, 2)
    assert numbers(acme, job) == list(range(1, COUNT + 1))


def test_another_environment_does_not_see_it(acme: Character, rival: Character, kind: str) -> None:
    job_kind(kind, resource="catalog")(counting)
    job = start(acme, kind)
    other = Api(rival.test.secret)
    assert other.get(f"/v1/jobs/{job.public_id}").refusal() == (404, "job-not-found")
    assert other.get(f"/v1/jobs/{job.public_id}/results").refusal() == (404, "job-not-found")
    assert other.post(f"/v1/jobs/{job.public_id}/cancel").refusal() == (404, "job-not-found")
    assert other.get("/v1/jobs")["data"] == []
    with environment_scope(rival.test.id), pytest.raises(Exception, match="no such job"):
        job_cancel(caller=rival.test.caller, job_id=job.id, now=system_now())


def test_a_key_sees_the_jobs_of_its_scopes(acme: Character, api: Api, kind: str) -> None:
    job_kind(kind, resource="invoices")(counting)
    job = start(acme, kind)
    keys = {
        scope: api.post("/v1/api-keys", {"name": scope, "scopes": [scope]})["secret"]
        for scope in ("invoices:read", "catalog:read")
    }
    assert api.get(f"/v1/jobs/{job.public_id}", key=keys["invoices:read"]).status == 200
    assert api.get(f"/v1/jobs/{job.public_id}", key=keys["catalog:read"]).refusal() == (403, "scope-missing")
    assert len(api.get("/v1/jobs", key=keys["invoices:read"])["data"]) == 1
    assert api.get("/v1/jobs", key=keys["catalog:read"])["data"] == []
    refused = api.post(f"/v1/jobs/{job.public_id}/cancel", key=keys["invoices:read"])
    assert refused.refusal() == (403, "scope-missing")


def test_the_list_is_filtered(acme: Character, api: Api, kind: str) -> None:
    job_kind(kind, resource="catalog")(counting)
    first, second = start(acme, kind), start(acme, kind)
    run(acme, first)
    assert [job["id"] for job in api.get(f"/v1/jobs?kind={kind}")["data"]] == [
        second.public_id,
        first.public_id,
    ]
    assert [job["id"] for job in api.get("/v1/jobs?state=done")["data"]] == [first.public_id]
    assert api.get("/v1/jobs/job_nonsense").refusal() == (404, "job-not-found")
