"""What runs by itself: doorbells, which find their work in the database, and may ring twice or at once."""

from __future__ import annotations

from celery import shared_task

from billing.services.automatic_charges import charges_sweep
from billing.services.payment_sweeps import payments_sweep
from billing.services.reconciliations import reconcile_all
from billing.services.sealing import ledgers_seal
from billing.services.sweeps import accounts_settle as sweep
from billing.services.verification import environments_all, verification_run
from customers.kernel.clock import system_now


@shared_task(name="billing.tasks.accounts_settle")
def accounts_settle() -> int:
    return sweep(now=system_now())


@shared_task(name="billing.tasks.invoices_charge")
def invoices_charge() -> int:
    """Charge invoices that are to be charged by themselves by now."""
    return charges_sweep(now=system_now())


@shared_task(name="billing.tasks.payments_ask")
def payments_ask() -> int:
    """Ask providers again about payments and refunds whose outcome is not known."""
    return payments_sweep()


@shared_task(name="billing.tasks.reconcile")
def reconcile() -> int:
    """Reconcile the last day of every environment. Returns how many differences there are."""
    return reconcile_all(now=system_now())


@shared_task(name="billing.tasks.ledger_seal")
def ledger_seal() -> int:
    return ledgers_seal(now=system_now())


@shared_task(name="billing.tasks.ledgers_verify")
def ledgers_verify() -> int:
    """Verify every environment; the admin shows the last run of each. Returns how many faults there are."""
    runs = [
        verification_run(environment_id=environment_id, actor="system:beat", now=system_now())
        for environment_id in environments_all()
    ]
    return sum(run.faults for run in runs)
