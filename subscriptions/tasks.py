"""What runs by itself; the schedule is config/beat.py."""

from __future__ import annotations

from celery import shared_task

from customers.kernel.clock import system_now
from subscriptions.services.due_work import subscriptions_advance


@shared_task(name="subscriptions.tasks.subscriptions_advance")
def subscriptions_advance_run() -> int:
    """Do what is due on subscriptions, in every environment without a clock of its own."""
    return subscriptions_advance(now=system_now())
