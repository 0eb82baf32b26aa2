from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows
from customers.kernel.sql_files import frozen_sql

_TABLES = (
    "customers_api_key",
    "customers_audit_record",
    "customers_customer",
    "customers_idempotency_record",
    "customers_outbox_event",
)

# What the kernel's functions touch, and what the application may not do although it may write the table.
_PRIVILEGES = """
GRANT SELECT, UPDATE ON customers_environment, customers_api_key TO purser_kernel;
GRANT SELECT, INSERT, UPDATE ON customers_customer TO purser_kernel;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers_idempotency_record TO purser_kernel;
GRANT SELECT, INSERT ON customers_outbox_event TO purser_kernel;
REVOKE DELETE, TRUNCATE ON customers_customer FROM purser_app;
REVOKE UPDATE, DELETE, TRUNCATE ON customers_audit_record FROM purser_app;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON customers_outbox_event FROM purser_app;
GRANT UPDATE (dispatched_at) ON customers_outbox_event TO purser_app;
"""

# Every webhook event updates its customer's row; room on the page keeps that update away from the indexes.
_SEARCH = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
ALTER TABLE customers_customer SET (fillfactor = 80);
CREATE INDEX customers_by_any_name ON customers_customer
USING gin (customers_search_text(display_name, external_id, name, email, public_id) gin_trgm_ops);
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]

    operations = [
        frozen_sql(__file__),
        environment_rows(*_TABLES),
        append_only("customers_audit_record"),
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
        migrations.RunSQL(_SEARCH, "DROP INDEX customers_by_any_name;"),
    ]
