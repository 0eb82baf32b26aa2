"""What runs by itself; the schedule is config/beat.py."""

from __future__ import annotations

from celery import shared_task

from customers.kernel.clock import system_now
from subscriptions.services import billing_bulk, plan_migrations, what_if  # noqa: F401 - what a worker runs registers itself
from subscriptions.services.billing_automatic import invoices_make
from subscriptions.services.due_work import subscriptions_advance


@shared_task(name="subscriptions.tasks.subscriptions_advance")
def subscriptions_advance_run() -> int:
    """Do what is due on subscriptions, in every environment without a clock of its own."""
    return subscriptions_advance(now=system_now())


@shared_task(name="subscriptions.tasks.invoices_make")
def invoices_make_run() -> int:
    """Invoice periods that are over, for subscriptions that ask for it."""
    return invoices_make(now=system_now())
