"""What runs by itself; the schedule is config/beat.py."""

from __future__ import annotations

from celery import shared_task

from customers.kernel.clock import system_now
from customers.services.idempotency import answers_purge


@shared_task(name="customers.answers_purge")
def answers_purge_run() -> int:
    """Forget stored answers that are older than their retention."""
    return answers_purge(now=system_now())
