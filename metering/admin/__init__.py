"""The admin of the metering app: a client of its services. One module per noun."""

from metering.admin import (
    explain,
    metrics,
    panels,
    rules,
    timeline,
    usage_events,
)

__all__ = [
    "explain",
    "metrics",
    "panels",
    "rules",
    "timeline",
    "usage_events",
]
