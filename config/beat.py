"""The whole schedule on one screen: what runs by itself, and how often.

Entry: name → task, seconds. A missed or doubled run does no harm; `expires` keeps a stopped worker from finding a
pile of stale doorbells when it comes back.
"""

from __future__ import annotations

from typing import Any


def _every(seconds: int, task: str, queue: str = "celery") -> dict[str, Any]:
    return {"task": task, "schedule": seconds, "options": {"expires": seconds, "queue": queue}}


SCHEDULE: dict[str, dict[str, Any]] = {
    "stored answers older than their retention": _every(600, "customers.answers_purge"),
    "accounts on which something is due": _every(10, "billing.tasks.accounts_settle"),
    "subscriptions on which something is due": _every(10, "subscriptions.tasks.subscriptions_advance"),
    "invoices to charge": _every(15, "billing.tasks.invoices_charge"),
    "payments not known to have succeeded or failed": _every(15, "billing.tasks.payments_ask"),
    "periods to invoice": _every(30, "subscriptions.tasks.invoices_make"),
    "invoices, payments and the provider side by side": _every(86_400, "billing.tasks.reconcile"),
    "ledger entries not sealed yet": _every(60, "billing.tasks.ledger_seal"),
    "the ledger's health": _every(86_400, "billing.tasks.ledgers_verify"),
    "coming months of usage events": _every(3600, "metering.event_partitions_make"),
    "sums of usage by the hour": _every(5, "metering.usage_roll"),
    "webhooks to hand out or to send": _every(2, "customers.webhooks_sweep", queue="webhooks"),
    "webhook events older than their retention": _every(3600, "customers.webhook_events_purge"),
    "jobs that nobody works on": _every(15, "customers.jobs_sweep"),
    "requests for approval that nobody decided": _every(300, "customers.approvals_expire"),
}
