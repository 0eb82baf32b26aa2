"""What people do with a price plan's customers as a whole: try other prices on their past, invoice all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.http import HttpRequest

from billing.engine.money import money_text
from customers.admin.dialogs import Change, Outcome, caller_of
from customers.admin.fields import InstantInput, ReasonField
from customers.admin.records import record_url
from customers.admin.requests import of_admin
from customers.kernel.clock import system_now
from customers.models import Job
from subscriptions.admin.price_plan_text import UnreadableCharge, charge_read, charge_written
from subscriptions.models import PricePlan, PricePlanVersion
from subscriptions.services.billing_bulk import customers_bill
from subscriptions.services.what_if import WhatIfAsked, what_if_start

_QUARTER: Final = timedelta(days=92)


class WhatIfForm(forms.Form):
    """The draft, one charge a line as in the form of a version."""

    begin = InstantInput(label="Periods that ended after (UTC)")
    end = InstantInput(required=False, label="And by (UTC)", help_text="Empty: now.")
    charges = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 6, "class": "p-mono", "spellcheck": "false"}),
        help_text="Instead of the present ones, written as in a new version.",
    )
    minimum = forms.DecimalField(
        required=False,
        min_value=0,
        max_digits=22,
        decimal_places=4,
        help_text="Of each period, such as 100.00. Empty: none.",
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off", "class": "p-number"}),
    )

    def clean_charges(self) -> list[dict[str, Any]]:
        lines = [line for line in self.cleaned_data["charges"].splitlines() if line.strip()]
        try:
            return [charge_read(line) for line in lines]
        except UnreadableCharge as error:
            raise forms.ValidationError(f"This is no charge: {error}", code="unreadable") from None


class InvoiceAllForm(forms.Form):
    cutoff = InstantInput(
        required=False,
        label="Up to (UTC)",
        help_text="Empty: now. The last second of a period means its end.",
    )
    is_draft = forms.BooleanField(required=False, label="Only drafts, to be issued later")
    reason = ReasonField()


def what_if_initial(newest: PricePlanVersion, minimum: str, now: datetime) -> dict[str, Any]:
    """The present prices: tried out unchanged, they reproduce the invoices."""
    charges = "\n".join(charge_written(charge, index) for index, charge in enumerate(newest.charges))
    return {"begin": now - _QUARTER, "charges": charges, "minimum": minimum}


def what_if_try(request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str) -> Outcome:
    now = of_admin(request).now
    asked = WhatIfAsked(
        price_plan_key=plan.key,
        begin=data["begin"],
        end=data["end"] or now,
        charges=data["charges"],
        minimum=data["minimum"],
    )
    job = what_if_start(caller=caller_of(request), asked=asked, now=now, clock=system_now)
    return Outcome(
        message="The job's page has a row for each customer.",
        effect_id=job.id,
        url=record_url(Job, job.public_id),
        changes=list(_found(job.result or {})),
        notes=()
        if job.result
        else ("So many customers are tried out in a job, with its result on its page.",),
    )


def _found(result: Mapping[str, Any]) -> Iterator[Change]:
    if not result:
        return
    currency = result["currency"]
    before, after = (money_text(result[name], currency) for name in ("before", "after"))
    difference = money_text(result["difference"], currency)
    yield Change(label=f"{result['periods']:,} periods", before=before, after=after, difference=difference)
    for label, name in (
        ("Would pay less", "winners"),
        ("Would pay more", "losers"),
        ("The same", "unchanged"),
    ):
        yield Change(label=label, before="", after=f"{result[name]:,}")
    if result["mismatched"]:
        yield Change(label="Invoiced otherwise by now", before="", after=f"{result['mismatched']:,}")


def invoice_all(request: HttpRequest, plan: PricePlan, data: Mapping[str, Any], _key: str) -> Outcome:
    now = of_admin(request).now
    job = customers_bill(
        caller=caller_of(request),
        cutoff=data["cutoff"] or now,
        price_plan_key=plan.key,
        is_draft=data["is_draft"],
        now=now,
        clock=system_now,
    )
    return Outcome(
        message="Customers are being invoiced: the job's page says how far it is.",
        effect_id=job.id,
        url=record_url(Job, job.public_id),
        notes=("Everybody who has, or had, this price plan, each with all that is unbilled of theirs.",),
    )
