"""What runs by itself; the schedule is config/beat.py."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Final
from uuid import UUID

import psycopg
from celery import shared_task
from django.db import InterfaceError, OperationalError

from customers.kernel.clock import system_now
from customers.models import Environment
from customers.services.environments import environment_now
from metering.services import replays, snapshots  # noqa: F401 - what a worker runs, and heeds, registers itself
from metering.services.event_partitions import PartitionsBusy, partitions_make
from metering.services.usage_intake import TryAgain, usage_intake
from metering.services.usage_rollups import usage_roll

_log: Final = logging.getLogger(__name__)


@shared_task(name="metering.usage_roll")
def usage_roll_run() -> int:
    """Add up what was used since the last time."""
    return usage_roll()


@shared_task(name="metering.event_partitions_make")
def event_partitions_make_run() -> int:
    """Make the coming months' partitions; how many. What is locked for too long is made the next time."""
    try:
        made = list(partitions_make(now=system_now()))
    except PartitionsBusy:
        return 0
    crowded = [each.name for each in made if each.status == "crowded"]
    if crowded:
        _log.warning("too much to move into %s: run manage.py event_partitions --ahead", ", ".join(crowded))
    return sum(each.status == "made" for each in made)


@shared_task(
    name="metering.usage_intake",
    # What the broker delivers twice is recorded once, so a task that may have worked is simply run again.
    autoretry_for=(
        TryAgain,
        OperationalError,
        InterfaceError,
        psycopg.OperationalError,
        psycopg.InterfaceError,
    ),
    retry_backoff=True,
    retry_backoff_max=300,
    max_retries=None,
)
def usage_intake_run(environment_id: str, events: str, actor: str = "system:intake") -> dict[str, int]:
    """Record a JSON list of events that came through the queue (docs/ingestion.md)."""
    environment = Environment.objects.get(id=environment_id)
    intake = usage_intake(
        environment_id=UUID(environment_id), events=events, actor=actor, now=environment_now(environment)
    )
    return asdict(intake)
