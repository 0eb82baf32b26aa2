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
    "customers_untold_debit",
    "customers_job",
    "customers_job_result",
    "customers_webhook_endpoint",
    "customers_webhook_delivery",
    "customers_webhook_attempt",
    "customers_webhook_lane",
    "customers_webhook_slot",
    "customers_approval",
    "customers_approval_limit",
    "customers_import",
    "customers_import_row",
    "customers_customer_note",
)
_OF_THE_KERNEL = """
GRANT SELECT, UPDATE ON customers_environment, customers_api_key, customers_webhook_endpoint TO purser_kernel;
GRANT SELECT, INSERT, UPDATE ON customers_customer, customers_webhook_slot TO purser_kernel;
GRANT SELECT, INSERT, UPDATE, DELETE ON customers_idempotency_record, customers_outbox_event,
  customers_webhook_delivery, customers_webhook_lane TO purser_kernel;
GRANT SELECT, INSERT, DELETE ON customers_untold_debit, customers_webhook_attempt TO purser_kernel;
GRANT SELECT ON customers_job, customers_approval TO purser_kernel;
"""
_OF_THE_APPLICATION = """
REVOKE DELETE, TRUNCATE ON customers_customer, customers_approval, customers_customer_note FROM purser_app;
REVOKE UPDATE, DELETE, TRUNCATE ON customers_audit_record FROM purser_app;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON customers_outbox_event, customers_untold_debit FROM purser_app;
GRANT UPDATE (dispatched_at) ON customers_outbox_event TO purser_app;
"""
_APPROVALS = """
CREATE TRIGGER customers_approval_changes_once BEFORE UPDATE ON customers_approval
FOR EACH ROW EXECUTE FUNCTION customers_approval_guard();
CREATE TRIGGER customers_approval_is_never_removed BEFORE DELETE ON customers_approval
FOR EACH ROW EXECUTE FUNCTION customers_refuse_change();
CREATE TRIGGER customers_approval_is_never_emptied BEFORE TRUNCATE ON customers_approval
FOR EACH STATEMENT EXECUTE FUNCTION customers_refuse_change();
"""
_NOTES = """
CREATE TRIGGER customers_customer_note_stays BEFORE UPDATE ON customers_customer_note
FOR EACH ROW EXECUTE FUNCTION customers_note_guard();
CREATE TRIGGER customers_customer_note_is_never_removed BEFORE DELETE ON customers_customer_note
FOR EACH ROW EXECUTE FUNCTION customers_refuse_change();
CREATE TRIGGER customers_customer_note_is_never_emptied BEFORE TRUNCATE ON customers_customer_note
FOR EACH STATEMENT EXECUTE FUNCTION customers_refuse_change();
"""
_NAMES = """
CREATE TRIGGER debits_are_told_under_the_names_of_their_time
BEFORE UPDATE OF public_id, external_id, display_name ON customers_customer FOR EACH ROW
WHEN ((OLD.public_id, OLD.external_id, OLD.display_name) IS DISTINCT FROM
  (NEW.public_id, NEW.external_id, NEW.display_name))
EXECUTE FUNCTION customers_debits_before_rename();
"""
_SEARCH = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX customers_by_any_name ON customers_customer
USING gin (customers_search_text(display_name, external_id, name, email, public_id) gin_trgm_ops);
"""
_SPACE = """
-- Every event counts up a number in the customer's row. Without room beside it the row moved, and with it an entry in each
-- of its indexes, that of the search too.
ALTER TABLE customers_customer SET (fillfactor = 70);
-- This queue is empty nearly always, but the file no smaller than it ever was: so nobody plans to read it whole.
ALTER TABLE customers_untold_debit SET (vacuum_truncate = false);
-- Room to write a claim beside the row it is for.
ALTER TABLE customers_webhook_lane SET (fillfactor = 50);
ALTER TABLE customers_webhook_slot SET (fillfactor = 50);
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0001_initial")]

    operations = [
        frozen_sql(__file__, "sql"),
        environment_rows(*_TABLES),
        append_only("customers_audit_record"),
        migrations.RunSQL(_OF_THE_KERNEL, migrations.RunSQL.noop),
        migrations.RunSQL(_OF_THE_APPLICATION, migrations.RunSQL.noop),
        migrations.RunSQL(_APPROVALS, migrations.RunSQL.noop),
        migrations.RunSQL(_NOTES, migrations.RunSQL.noop),
        migrations.RunSQL(_NAMES, migrations.RunSQL.noop),
        migrations.RunSQL(_SEARCH, migrations.RunSQL.noop),
        migrations.RunSQL(_SPACE, migrations.RunSQL.noop),
    ]
