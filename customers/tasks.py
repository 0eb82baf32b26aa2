"""What runs by itself; the schedule is config/beat.py."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from celery import shared_task
from django.conf import settings

from customers.gateways.doorbell import DELIVER, HAND_OUT, endpoint_ring, events_ring
from customers.kernel.clock import elapsed_seconds, system_now
from customers.services.approvals import approvals_expire
from customers.services.idempotency import answers_purge
from customers.services.jobs import job_run, jobs_sweep
from customers.services.webhook_dispatch import (
    BATCH,
    endpoint_deliver,
    events_handed_out,
    webhooks_due,
)
from customers.services.webhook_retention import webhooks_purge

# A worker stays with an endpoint that is quick; a slow one has had its turn after a batch.
_STAY_SECONDS: Final = 0.5


@shared_task(name="customers.answers_purge")
def answers_purge_run() -> int:
    """Forget stored answers that are older than their retention."""
    return answers_purge(now=system_now())


@shared_task(name="customers.approvals_expire")
def approvals_expire_run() -> int:
    """End the wait of requests for approval that nobody decided in time."""
    return approvals_expire(wall_now=system_now())


@shared_task(name="customers.webhook_events_purge")
def webhook_events_purge_run() -> int:
    """Forget webhook events that are older than their retention and over."""
    return webhooks_purge(now=system_now())


@shared_task(name="customers.webhooks_sweep")
def webhooks_sweep_run() -> int:
    """Ring for everything that is due in any environment, whatever rang, or did not, before."""
    due = webhooks_due()
    for environment_id, endpoint_id in due:
        if endpoint_id is None:
            events_ring(environment_id)
        else:
            endpoint_ring(environment_id, endpoint_id)
    return len(due)


@shared_task(name=HAND_OUT)
def webhooks_hand_out_run(environment_id: str) -> int:
    """Queue an environment's events for its endpoints, and have them sent."""
    handed = rung = 0
    for count in events_handed_out(environment_id=UUID(environment_id)):
        handed += count
        # What the first batch woke goes on with the next ones.
        rung = rung or _endpoints_wake(UUID(environment_id), count)
    if handed > rung:
        _endpoints_wake(UUID(environment_id), handed - rung)
    return handed


def _endpoints_wake(environment_id: UUID, handed: int) -> int:
    """A worker for each batch of them, as far as an endpoint may have several."""
    workers = min(1 + handed // BATCH, settings.WEBHOOKS_ENDPOINT_CONCURRENCY)
    for waiting, endpoint_id in webhooks_due():
        if endpoint_id is not None and waiting == environment_id:
            for _ in range(workers):
                endpoint_ring(waiting, endpoint_id)
    return handed


@shared_task(name=DELIVER)
def webhooks_deliver_run(environment_id: str, endpoint_id: str) -> int:
    """Send what is due to one endpoint; more of it goes to the back of the queue, so that everybody has a turn."""
    began, sent = elapsed_seconds(), 0
    while batch := endpoint_deliver(environment_id=UUID(environment_id), endpoint_id=UUID(endpoint_id)):
        sent += batch
        if elapsed_seconds() - began > _STAY_SECONDS:
            endpoint_ring(UUID(environment_id), UUID(endpoint_id))
            break
    return sent


@shared_task(name="customers.job_run")
def job_run_run(environment_id: str, job_id: str) -> None:
    """Do a job, if nobody else does."""
    job_run(environment_id=UUID(environment_id), job_id=UUID(job_id), clock=system_now)


@shared_task(name="customers.jobs_sweep")
def jobs_sweep_run() -> int:
    """Have jobs go on that nobody works on."""
    return jobs_sweep(now=system_now())
