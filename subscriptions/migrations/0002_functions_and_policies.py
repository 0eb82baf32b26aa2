from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows
from customers.kernel.sql_files import frozen_sql

_TABLES = (
    "subscriptions_wind_down",
    "subscriptions_plan",
    "subscriptions_plan_variant",
    "subscriptions_credit_grant",
    "subscriptions_subscription",
    "subscriptions_period",
    "subscriptions_grant_schedule",
    "subscriptions_grant_run",
    "subscriptions_change",
    "subscriptions_price_plan",
    "subscriptions_price_plan_version",
    "subscriptions_price_term",
    "subscriptions_charge_series",
    "subscriptions_period_invoice",
)
_PRIVILEGES = """
GRANT SELECT ON subscriptions_subscription, subscriptions_period TO purser_kernel;
REVOKE UPDATE ON subscriptions_price_plan_version, subscriptions_price_term, subscriptions_period_invoice
  FROM purser_app;
GRANT UPDATE (status) ON subscriptions_price_plan_version TO purser_app;
GRANT UPDATE (ends_at) ON subscriptions_price_term TO purser_app;
GRANT UPDATE (is_live) ON subscriptions_period_invoice TO purser_app;
"""


class Migration(migrations.Migration):
    dependencies = [("subscriptions", "0001_initial"), ("customers", "0002_functions_and_policies")]

    operations = [
        frozen_sql(__file__, "sql"),
        environment_rows(*_TABLES),
        append_only(
            "subscriptions_wind_down",
            "subscriptions_grant_run",
            "subscriptions_change",
            "subscriptions_charge_series",
        ),
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
    ]
