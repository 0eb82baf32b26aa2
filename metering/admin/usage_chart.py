"""What a customer used in the last thirty days, by day and by metric, from the hours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, timedelta
from typing import Any, Final

from django.http import HttpRequest
from django.template.loader import render_to_string

from customers.admin.customer_panels import CustomerPanel, panel_register
from customers.admin.display import credits_shown, credits_text, units_shown
from customers.admin.requests import of_admin
from customers.models import Customer
from metering.selectors.usage_queries import UsageRow, usage_read

_DAYS: Final = 30


def _chart(request: HttpRequest, customer: Customer) -> str:
    now = of_admin(request).now
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    read = usage_read(
        environment_id=customer.environment_id,
        customer_id=customer.id,
        metric_id=None,
        begin=today - timedelta(days=_DAYS - 1),
        end=now,
        group="day",
    )
    context = {
        "bars": list(_bars(read.rows, today.date())) if read.rows else [],
        "metrics": list(_metrics(read.rows)),
        "lag": read.pending_since is not None,
    }
    return render_to_string("admin/purser/panel_usage_chart.html", context)


def _bars(rows: Iterable[UsageRow], today: date) -> Iterator[dict[str, Any]]:
    burned: dict[date, int] = defaultdict(int)
    for row in rows:
        burned[row.period_start.date()] += row.cost_mc
    most = max(burned.values()) or 1
    for ago in reversed(range(_DAYS)):
        day = today - timedelta(days=ago)
        yield {"day": day, "amount": credits_text(burned[day]), "share": burned[day] * 100 // most}


def _metrics(rows: Iterable[UsageRow]) -> Iterator[dict[str, Any]]:
    by_key: dict[str, list[UsageRow]] = defaultdict(list)
    for row in rows:
        by_key[row.metric_key].append(row)
    for key, used in sorted(by_key.items(), key=lambda each: -sum(row.cost_mc for row in each[1])):
        yield {
            "key": key,
            "events": f"{sum(row.events for row in used):,}",
            "units": units_shown(sum((row.units for row in used), start=used[0].units * 0)),
            "credits": credits_shown(sum(row.cost_mc for row in used)),
        }


panel_register(
    CustomerPanel(
        key="usage-chart",
        title="Usage in 30 days",
        order=8,
        permission="metering.view_usageevent",
        render=_chart,
        comes_later=True,
    )
)
