"""Refusals of metering. The class docstring is the text of the problem's page in the docs."""

from __future__ import annotations

from customers.errors import Conflict, DomainError, NotFound


class MetricExists(Conflict):
    """A metric with this `key` exists already in this environment. Keys are permanent: choose another, or
    PATCH the one there is."""

    code, title = "metric-exists", "The metric exists already"


class MetricNotFound(NotFound):
    """No metric has this key in the environment of the API key. Check the spelling, and that it is not the
    other environment's key."""

    code, title = "metric-not-found", "There is no such metric"


class MetricUnknown(DomainError):
    """The body names a metric that does not exist in this environment. Nothing was recorded; create the
    metric first."""

    code, status, title = "metric-not-found", 422, "There is no such metric"


class MetricInactive(DomainError):
    """The metric was set to `inactive`: it takes no new events. Its history stays. Set it to `active` to use
    it again."""

    code, status, title = "metric-inactive", 422, "The metric is inactive"


class MeteringRuleNotFound(NotFound):
    """No metering rule has this id in the environment of the API key."""

    code, title = "metering-rule-not-found", "There is no such metering rule"


class NoActiveMeteringRule(DomainError):
    """The metric has no metering rule in effect, so the usage has no price in credits. Create a rule, or send
    events that should only be metered to `/v1/events`."""

    code, status, title = "no-active-metering-rule", 422, "The metric has no metering rule in effect"


class InvalidMeteringRule(DomainError):
    """The terms of the rule make no sense: tiers that do not ascend, a last tier that is not open, a negative
    price, a field that does not belong to the cost type. `errors` names each place."""

    code, status, title = "invalid-metering-rule", 422, "The metering rule is not valid"


class PlanVariantUnknown(DomainError):
    """The body names a plan variant that does not exist in this environment. Create the plan variant first, then the
    metering rule for its customers."""

    code, status, title = "plan-variant-not-found", 422, "There is no such plan variant"


class EffectiveFromPast(DomainError):
    """A metering rule cannot begin in the past: usage was priced when it arrived, and history keeps its
    prices. Leave `effective_from` out for now, or give a future instant."""

    code, status, title = "effective-from-past", 422, "A rule cannot begin in the past"


class UsageSuspended(DomainError):
    """The customer's subscription is overdue or paused, and its plan does not allow usage meanwhile. Renew or
    resume it."""

    code, status, title = "usage-suspended", 403, "Usage is suspended"


class NoRateForProperty(DomainError):
    """The metering rule prices by an event property, and has neither a rate for this event's value nor one for all
    others (`*`). Send the property in `properties`, or add the rate."""

    code, status, title = "no-rate-for-property", 422, "The rule has no rate for this event"


class EventNotFound(NotFound):
    """No usage event has this id in the environment of the API key."""

    code, title = "event-not-found", "There is no such event"


class EventArchived(DomainError):
    """Events that were stored in that month have been archived: taken out of the database, to be kept elsewhere.
    Whether this id was one of them, and what it said, is in the archive. What it cost stands in the ledger, and its
    idempotency key still answers for it; it can no longer be shown, explained or voided."""

    code, status, title = "event-archived", 410, "Events of that month are archived"


class UsageArchived(DomainError):
    """Some of the events that this would have to read have been archived, so the answer would be too small. Sums by the
    hour (`GET /v1/usage`) still cover that time, except for the aggregations `unique_count` and `percentile`. Exact
    quantities, new invoices and replays need the events: ask for a later time."""

    code, status, title = "usage-archived", 410, "Events of that time are archived"


class EventVoided(Conflict):
    """The event was voided before; its debit was refunded then. GET it to see when and why."""

    code, title = "event-voided", "The event was voided before"
