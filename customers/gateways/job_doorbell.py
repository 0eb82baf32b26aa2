"""Wakes a worker for a job. A ring that got lost is repeated by the sweep."""

from __future__ import annotations

import logging
from typing import Final
from uuid import UUID

from celery import current_app
from kombu.exceptions import KombuError

_LOG: Final = logging.getLogger("purser.jobs")
_RUN: Final = "customers.job_run"


def job_ring(environment_id: UUID, job_id: UUID) -> None:
    """There is a job to do, or to go on with."""
    try:
        current_app.send_task(_RUN, args=[str(environment_id), str(job_id)], retry=False)
    except (KombuError, OSError) as error:
        _LOG.warning("a job waits for the sweep: the broker is away (%s)", error)
