"""The admin of the metering app: a client of its services. One module per noun."""

from metering.admin import (
    entitlement_tester,
    explain,
    hold_release,
    metrics,
    panels,
    rules,
    timeline,
    usage_chart,
    usage_events,
)

__all__ = [
    "entitlement_tester",
    "explain",
    "hold_release",
    "metrics",
    "panels",
    "rules",
    "timeline",
    "usage_chart",
    "usage_events",
]
