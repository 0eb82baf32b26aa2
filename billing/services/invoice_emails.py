"""Sends invoices by e-mail: as jobs, so after the commit, outside any transaction, and visibly when it fails."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from smtplib import SMTPException
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from billing.errors import InvoiceIsDraft, InvoiceIsVoid, MailNotSetUp, NoEmailAddress
from billing.gateways.invoice_mail import invoice_send
from billing.models import Invoice, InvoiceEvent, InvoiceSource, InvoiceStatus
from billing.selectors.invoices import invoice_get
from billing.services.invoice_events import invoice_event_record
from billing.services.invoice_numbers import invoice_settings
from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.ids import typeid
from customers.models import Environment, Job
from customers.services.checks import customer_refusals
from customers.services.environments import environment_now
from customers.services.jobs import JobWork, job_kind, job_start

KIND: Final = "billing.invoice_email"
EMAILED: Final = "invoice.emailed"
_FAILED: Final = "invoice.email_failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """Where an invoice is going, and the job that sends it."""

    to: str
    job: Job


def invoice_email_queue(*, caller: Caller, invoice_id: UUID, to: str | None = None) -> Queued:
    """Have it sent once the present transaction is committed.

    Raises InvoiceNotFound, InvoiceIsDraft, InvoiceIsVoid, NoEmailAddress, MailNotSetUp.
    """
    invoice = invoice_get(environment_id=caller.environment_id, invoice_id=invoice_id)
    address = _address(invoice, to)
    if invoice.status == InvoiceStatus.DRAFT:
        raise InvoiceIsDraft
    if invoice.status == InvoiceStatus.VOID:
        raise InvoiceIsVoid
    if not mail_is_set_up():
        raise MailNotSetUp
    parameters = {"invoice_id": str(invoice.id), "to": address}
    return Queued(
        to=address, job=job_start(caller=caller, kind=KIND, parameters=parameters, now=system_now())
    )


def invoice_issued_email(*, caller: Caller, invoice: Invoice, now: datetime) -> None:
    """What was made without anybody asking for it is sent by itself, where the settings say so."""
    if invoice.source == InvoiceSource.API or not invoice.bill_to.get("email") or not mail_is_set_up():
        return
    if invoice_settings(environment_id=caller.environment_id, now=now).emails_invoices:
        invoice_email_queue(caller=caller, invoice_id=invoice.id)


def mail_is_set_up() -> bool:
    return not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")


@job_kind(KIND, resource="invoices")
def invoice_email_send(work: JobWork) -> dict[str, Any]:
    """Send one invoice. A worker that died after sending may send it again; one that wrote it down does not."""
    invoice = invoice_get(environment_id=work.environment_id, invoice_id=UUID(work.parameters["invoice_id"]))
    told = {"to": work.parameters["to"], "job_id": typeid("job", work.job_id)}
    if InvoiceEvent.objects.filter(invoice=invoice, type=EMAILED, data__job_id=told["job_id"]).exists():
        return told
    environment = Environment.objects.get(id=work.environment_id)
    caller = _caller(work)
    try:
        invoice_send(invoice, to=told["to"], is_test=environment.kind == "test")
    except (SMTPException, OSError) as error:
        failed = {**told, "error": f"{type(error).__name__}: {error}"[:500]}
        _record(caller, invoice, _FAILED, failed, environment)
        raise
    _record(caller, invoice, EMAILED, told, environment)
    return told


def _record(
    caller: Caller, invoice: Invoice, what: str, told: dict[str, Any], environment: Environment
) -> None:
    now = environment_now(environment)
    invoice_event_record(caller=caller, invoice=invoice, type=what, data=told, now=now)


def _caller(work: JobWork) -> Caller:
    job = Job.objects.get(id=work.job_id)
    return Caller(environment_id=work.environment_id, actor=job.actor, request_id=job.request_id)


def _address(invoice: Invoice, to: str | None) -> str:
    address = to or invoice.customer.email or invoice.bill_to.get("email")
    if not address:
        raise NoEmailAddress
    if customer_refusals({"email": address}):
        raise ValidationFailed(errors=[FieldError("to", "invalid", "Must be an email address.")])
    return str(address)
