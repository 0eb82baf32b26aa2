"""Many customers are billed: one after the other, each in a transaction with its row, so none is billed twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from billing.models import Invoice, InvoiceSource
from customers.errors import DomainError, FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.kernel.instants import instant_parse, instant_text
from customers.models import Customer, Environment, Job
from customers.services.environments import environment_now
from customers.services.jobs import Clock, JobWork, job_kind, job_start
from subscriptions.errors import AlreadyInvoiced, CurrencyRequired, NothingToBill
from subscriptions.models import PriceTerm
from subscriptions.services.billing_run import BillAsked, customer_bill, cutoff_check

KIND: Final = "subscriptions.invoice"
_PAGE: Final = 200


def customers_bill(
    *,
    caller: Caller,
    cutoff: datetime,
    customers: Sequence[Customer] = (),
    price_plan_key: str | None = None,
    currency: str | None = None,
    is_draft: bool = False,
    now: datetime,
    clock: Clock,
) -> Job:
    """Bill these customers, or everybody who has (this) price plan, up to the cutoff. Raises CutoffInFuture."""
    if customers and price_plan_key is not None:
        message = "Of these customers or of a price plan, not of both."
        raise ValidationFailed(errors=[FieldError("price_plan_id", "invalid", message)])
    cutoff_check(environment_id=caller.environment_id, cutoff=cutoff, now=now)
    parameters = {
        "cutoff": instant_text(cutoff),
        "customers": [str(customer.id) for customer in customers],
        "price_plan": price_plan_key,
        "currency": currency,
        "is_draft": is_draft,
    }
    return job_start(caller=caller, kind=KIND, parameters=parameters, now=clock())


@job_kind(KIND, resource="invoices")
def bulk(work: JobWork) -> dict[str, Any]:
    """In the order of customers; whoever takes over goes on behind the last one that was saved."""
    checkpoint = work.checkpoint or {"after": None, "counts": {}}
    if work.checkpoint is None:
        work.save(done=0, checkpoint=checkpoint, total=_customers(work.parameters, None).count())
    while page := list(_customers(work.parameters, checkpoint["after"])[:_PAGE]):
        for customer in page:
            checkpoint = _bill_and_save(work, customer, checkpoint)
    return {"customers": work.done, **checkpoint["counts"]}


def _bill_and_save(work: JobWork, customer: Customer, checkpoint: dict[str, Any]) -> dict[str, Any]:
    # A worker whose job was taken away learns it at the save, and has then billed nobody.
    with transaction.atomic():
        rows = _billed(work, customer)
        counts = Counter(checkpoint["counts"]) + Counter(row["outcome"] for row in rows)
        moved = {"after": str(customer.id), "counts": dict(counts)}
        work.save(done=work.done + 1, checkpoint=moved, results=rows)
    return moved


def _customers(parameters: dict[str, Any], after: str | None) -> QuerySet[Customer]:
    terms = PriceTerm.objects.filter(subscription__customer=OuterRef("id"))
    if parameters["price_plan"] is not None:
        terms = terms.filter(version__price_plan__key=parameters["price_plan"])
    customers = Customer.objects.filter(Exists(terms))
    if parameters["customers"]:
        customers = Customer.objects.filter(id__in=parameters["customers"])
    if after is not None:
        customers = customers.filter(id__gt=after)
    return customers.order_by("id")


def _billed(work: JobWork, customer: Customer) -> list[dict[str, Any]]:
    """The customer's rows: one, or one for each currency."""
    try:
        with transaction.atomic():
            return [_row(customer, _bill(work, customer, work.parameters["currency"]))]
    except CurrencyRequired as several:
        return [_in_currency(work, customer, currency) for currency in several.extra["currencies"]]
    except DomainError as refusal:
        return [_refused(customer, refusal)]


def _in_currency(work: JobWork, customer: Customer, currency: str) -> dict[str, Any]:
    try:
        with transaction.atomic():
            return _row(customer, _bill(work, customer, currency))
    except DomainError as refusal:
        return _refused(customer, refusal)


def _bill(work: JobWork, customer: Customer, currency: str | None) -> Invoice:
    job = Job.objects.only("actor", "request_id").get(id=work.job_id)
    caller = Caller(environment_id=work.environment_id, actor=job.actor, request_id=job.request_id)
    asked = BillAsked(
        cutoff=instant_parse(work.parameters["cutoff"]),
        currency=currency,
        source=InvoiceSource.BULK,
        is_draft=work.parameters["is_draft"],
    )
    environment = Environment.objects.get(id=work.environment_id)
    return customer_bill(caller=caller, customer=customer, asked=asked, now=environment_now(environment))


def _row(customer: Customer, invoice: Invoice) -> dict[str, Any]:
    return {
        **_who(customer),
        "outcome": "invoiced",
        "invoice_id": invoice.public_id,
        "number": invoice.number,
        "total_amount": invoice.total_minor,
        "currency": invoice.currency,
    }


def _refused(customer: Customer, refusal: DomainError) -> dict[str, Any]:
    if isinstance(refusal, AlreadyInvoiced):
        return {**_who(customer), "outcome": "invoiced_before", "invoice_id": refusal.extra["invoice_id"]}
    if isinstance(refusal, NothingToBill):
        return {**_who(customer), "outcome": "nothing_to_bill"}
    return {
        **_who(customer),
        "outcome": "refused",
        "error": {"code": refusal.code, "detail": refusal.detail},
    }


def _who(customer: Customer) -> dict[str, Any]:
    return {"customer_id": customer.public_id, "external_customer_id": customer.external_id}
