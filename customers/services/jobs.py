"""Jobs: work that takes longer than a request, seen from outside with its progress.

Every app registers what it can do:

    @job_kind("metering.replay", resource="catalog")
    def replay(work: JobWork) -> dict[str, Any]:
        for page in …:
            work.save(done=…, checkpoint={…}, results=[…])
        return {…}

The broker is a doorbell: `customers.job_run` may ring twice, at once, or never; the row decides who works, and a sweep
rings again for what was left lying. A worker that was taken for dead and comes back learns at its next save that the
job is not its own any more, and saves nothing.

`now` is the wall clock here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Coalesce

from customers.errors import JobFinished, JobNotFound
from customers.gateways.job_doorbell import job_ring
from customers.kernel.caller import Caller
from customers.kernel.database import call_all, environment_scope
from customers.kernel.ids import uuid7
from customers.models import Job, JobResult, JobState
from customers.services.audit import audit_record

_log = logging.getLogger(__name__)

#: A worker not heard of for so long is taken for dead.
SILENCE: Final = timedelta(seconds=60)
#: How long a job's first doorbell is given to be heard before the sweep rings again.
_PATIENCE: Final = timedelta(seconds=15)
#: A job that has cost so many workers their lives is given up.
_ATTEMPTS_MAX: Final = 5
_SWEEP_BATCH: Final = 100
_ERROR_MAX: Final = 1000
_DUE: Final = "SELECT environment_id, job_id FROM customers_jobs_due_v1($1, $2, $3)"
_OPEN: Final = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)

Clock = Callable[[], datetime]


class JobLost(Exception):
    """The job is not this worker's any more: it was canceled, or another one has taken it over."""


@dataclass(slots=True, kw_only=True)
class JobWork:
    """A job in the hands of the worker that runs it."""

    job_id: UUID
    run_id: UUID
    environment_id: UUID
    parameters: dict[str, Any]
    #: What the last `save` before this run left, if there was one.
    checkpoint: dict[str, Any] | None
    done: int
    clock: Clock
    _position: int = field(default=0)

    def save(
        self,
        *,
        done: int,
        checkpoint: dict[str, Any] | None,
        results: Sequence[dict[str, Any]] = (),
        total: int | None = None,
    ) -> None:
        """Keep what was found and where to go on, together. Raises JobLost, and then keeps nothing."""
        with transaction.atomic():
            self._own(done=done, checkpoint=checkpoint, **({} if total is None else {"total": total}))
            JobResult.objects.bulk_create(
                JobResult(
                    job_id=self.job_id, environment_id=self.environment_id, position=position, data=data
                )
                for position, data in enumerate(results, start=self._position + 1)
            )
        self.done, self.checkpoint = done, checkpoint
        self._position += len(results)

    def beat(self, *, done: int) -> None:
        """Show that the worker lives, and how far it is, in a long stretch without results."""
        self._own(done=done)

    def _own(self, **values: Any) -> None:
        mine = Job.objects.filter(id=self.job_id, run_id=self.run_id, state=JobState.RUNNING)
        if not mine.update(heartbeat_at=self.clock(), **values):
            raise JobLost


Run = Callable[[JobWork], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class JobKind:
    """`resource` names the scope that may see such jobs."""

    name: str
    resource: str
    run: Run


_kinds: Final[dict[str, JobKind]] = {}


def job_kind(name: str, *, resource: str) -> Callable[[Run], Run]:
    """Register what does jobs of this kind; its module must be imported wherever tasks are run."""

    def register(run: Run) -> Run:
        _kinds[name] = JobKind(name, resource, run)
        return run

    return register


def job_resource(kind: str) -> str:
    """Whose scope may see jobs of this kind; what nobody registered is for keys of the catalogue."""
    found = _kinds.get(kind)
    return found.resource if found else "catalog"


def job_start(*, caller: Caller, kind: str, parameters: dict[str, Any], now: datetime) -> Job:
    """Put a job into the queue. A worker hears of it once the present transaction is committed."""
    job = Job.objects.create(
        environment_id=caller.environment_id,
        kind=_kinds[kind].name,
        parameters=parameters,
        actor=caller.actor,
        request_id=caller.request_id,
        created_at=now,
    )
    transaction.on_commit(partial(job_ring, job.environment_id, job.id))
    return job


def job_do(*, caller: Caller, kind: str, parameters: dict[str, Any], clock: Clock) -> Job:
    """The same for what is quickly done: done at once, in the present transaction if there is one."""
    job = Job.objects.create(
        environment_id=caller.environment_id,
        kind=_kinds[kind].name,
        parameters=parameters,
        actor=caller.actor,
        request_id=caller.request_id,
        created_at=clock(),
    )
    _run(job.id, clock)
    job.refresh_from_db()
    return job


def job_run(*, environment_id: UUID, job_id: UUID, clock: Clock) -> None:
    """Do the job, if nobody else does; from where the last worker got to."""
    with environment_scope(environment_id):
        _run(job_id, clock)


@transaction.atomic
def job_cancel(*, caller: Caller, job_id: UUID, reason: str = "", now: datetime) -> Job:
    """Stop a job: its worker notices at its next save. What was found stays. Raises JobNotFound, JobFinished."""
    job = _open_locked(job_id)
    job.state, job.finished_at, job.run_id = JobState.CANCELED, now, None
    job.save(update_fields=["state", "finished_at", "run_id"])
    _record(caller, job, "canceled", reason, now)
    return job


@transaction.atomic
def job_pause(*, caller: Caller, job_id: UUID, reason: str = "", now: datetime) -> Job:
    """Have a job wait: its worker notices at its next save, and it goes on from there once it is resumed.

    Raises JobNotFound, JobFinished.
    """
    job = _open_locked(job_id)
    if job.state != JobState.PAUSED:
        job.state, job.run_id = JobState.PAUSED, None
        job.save(update_fields=["state", "run_id"])
        _record(caller, job, "paused", reason, now)
    return job


@transaction.atomic
def job_resume(*, caller: Caller, job_id: UUID, reason: str = "", now: datetime) -> Job:
    """Have a paused job go on; one that is not paused goes on anyway. Raises JobNotFound, JobFinished."""
    job = _open_locked(job_id)
    if job.state == JobState.PAUSED:
        # Attempts count workers that died; a pause is no death.
        job.state, job.attempts = JobState.QUEUED, 0
        job.save(update_fields=["state", "attempts"])
        _record(caller, job, "resumed", reason, now)
        transaction.on_commit(partial(job_ring, job.environment_id, job.id))
    return job


def _open_locked(job_id: UUID) -> Job:
    job = Job.objects.select_for_update(no_key=True).filter(id=job_id).first()
    if job is None:
        raise JobNotFound
    if job.state not in _OPEN:
        raise JobFinished(f"The job is {job.state}.")
    return job


def _record(caller: Caller, job: Job, what: str, reason: str, now: datetime) -> None:
    audit_record(
        caller=caller,
        action=f"job.{what}",
        object_type="job",
        object_id=job.public_id,
        reason=reason,
        now=now,
    )


def jobs_sweep(*, now: datetime) -> int:
    """Ring again for jobs that nobody works on; how many. Any environment."""
    due = call_all(_DUE, [now - SILENCE, now - _PATIENCE, _SWEEP_BATCH])
    for environment_id, job_id in due:
        job_ring(environment_id, job_id)
    return len(due)


def _run(job_id: UUID, clock: Clock) -> None:
    work = _claim(job_id, clock)
    if work is None:
        return
    job = Job.objects.get(id=job_id)
    try:
        if job.attempts > _ATTEMPTS_MAX:
            _finish(work, state=JobState.FAILED, error=f"Given up after {_ATTEMPTS_MAX} attempts.")
            return
        _finish(work, state=JobState.DONE, result=_kinds[job.kind].run(work))
    except JobLost:
        _log.warning("the job %s is not this worker's any more", job.public_id)
    except (OperationalError, InterfaceError, psycopg.OperationalError):
        # The database is away, or ended this transaction: the sweep has the job go on.
        raise
    except Exception as error:
        _log.exception("the job %s has failed", job.public_id)
        _finish(work, state=JobState.FAILED, error=f"{type(error).__name__}: {error}"[:_ERROR_MAX])


def _claim(job_id: UUID, clock: Clock) -> JobWork | None:
    """Become the job's worker, unless another one is and lives."""
    now, run_id = clock(), uuid7()
    free = Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING, heartbeat_at__lt=now - SILENCE)
    claimed = Job.objects.filter(free, id=job_id).update(
        state=JobState.RUNNING,
        run_id=run_id,
        heartbeat_at=now,
        started_at=Coalesce("started_at", now),
        attempts=F("attempts") + 1,
    )
    if not claimed:
        return None
    job = Job.objects.get(id=job_id)
    return JobWork(
        job_id=job.id,
        run_id=run_id,
        environment_id=job.environment_id,
        parameters=job.parameters,
        checkpoint=job.checkpoint,
        done=job.done,
        clock=clock,
        _position=job.results.aggregate(last=Max("position"))["last"] or 0,
    )


def _finish(work: JobWork, *, state: JobState, result: dict[str, Any] | None = None, error: str = "") -> None:
    mine = Job.objects.filter(id=work.job_id, run_id=work.run_id, state=JobState.RUNNING)
    mine.update(state=state, result=result, error=error, finished_at=work.clock(), run_id=None)
