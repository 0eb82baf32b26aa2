"""“May they?”: the check that a tenant's backend asks for, asked by a person. Nothing is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django import forms

from customers.admin.customer_panels import Act, CustomerAction, action_register
from customers.admin.dialogs import Change, Outcome
from customers.admin.display import credits_shown, credits_text, units_text
from metering.models import BillableMetric
from metering.selectors.config import config_current
from metering.services.entitlements import Entitlement, entitlement_check

_REASONS: Final = {
    "insufficient_credits": "Not enough credits, and no overdraft that would cover it.",
    "no_metering_rule": "The metric has no metering rule in effect.",
    "subscription_overdue": "The subscription is overdue, and its plan allows no usage meanwhile.",
    "subscription_paused": "The subscription is paused.",
    "usage_suspended": "Usage is suspended.",
}


class CheckForm(forms.Form):
    metric_key = forms.ChoiceField(label="Metric")
    units = forms.DecimalField(
        label="Units", min_value=Decimal(0), initial=1, max_digits=28, decimal_places=10
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        keys = BillableMetric.objects.order_by("key").values_list("key", flat=True)
        chosen = self.fields["metric_key"]
        assert isinstance(chosen, forms.ChoiceField)  # noqa: S101 - declared above
        chosen.choices = [(key, key) for key in keys]


def _check(act: Act) -> Outcome:
    found = _asked(act)
    asked = f"{units_text(Decimal(found.units))} × {found.metric_key}"
    verdict = "would be allowed" if found.allowed else "would be denied"
    notes = [f"{asked} {verdict}."]
    if not found.allowed:
        notes.append(_REASONS.get(found.reason or "", found.reason or ""))
    most = found.affordable_units
    notes.append("Any number of units would be." if most is None else f"At most {most:,} units would be.")
    return Outcome(message=notes[0], changes=_changes(found), notes=notes, is_warning=not found.allowed)


def _asked(act: Act) -> Entitlement:
    return entitlement_check(
        environment_id=act.caller.environment_id,
        config_version=config_current(act.caller.environment_id).version,
        by="id",
        reference=act.customer.public_id,
        metric_key=act.data["metric_key"],
        units=act.data["units"],
        now=act.now,
    )


def _changes(found: Entitlement) -> list[Change]:
    cost = found.estimated_cost_mc
    after = found.effective_mc - cost if cost is not None else None
    return [
        Change(
            label="Effective balance",
            before=credits_shown(found.effective_mc),
            after=credits_shown(after),
            difference="" if cost is None else f"−{credits_text(cost)}",
        )
    ]


action_register(
    CustomerAction(
        slug="check",
        label="May they?",
        title="Would this usage be allowed?",
        submit="Check",
        icon="rule",
        order=40,
        permission="metering.view_usageevent",
        form=CheckForm,
        perform=_check,
        intro="The answer that the API's entitlement check would give at this moment. Nothing is written.",
    )
)
