from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_WRITTEN_BY_THE_KERNEL = (
    "billing_credit_account",
    "billing_credit_block",
    "billing_ledger_entry",
    "billing_hold",
    "billing_ledger_seal",
    "billing_ledger_seal_part",
    "billing_sealed_account",
    "billing_topup_request",
)
_WRITTEN_BY_THE_APPLICATION = (
    "billing_verification_run",
    "billing_topup_package",
    "billing_topup",
    "billing_auto_topup",
    "billing_conversion",
    "billing_invoice",
    "billing_invoice_line",
    "billing_invoice_event",
    "billing_invoice_settings",
    "billing_credit_note",
    "billing_credit_balance",
    "billing_credit_movement",
    "billing_payment",
    "billing_provider_account",
    "billing_provider_event",
    "billing_reconciliation",
)
_APPEND_ONLY = (
    "billing_ledger_entry",
    "billing_ledger_seal",
    "billing_ledger_seal_part",
    "billing_topup",
    "billing_conversion",
    "billing_invoice_event",
    "billing_credit_movement",
    "billing_reconciliation",
)
_PRIVILEGES = """
REVOKE UPDATE ON billing_ledger_entry, billing_ledger_seal, billing_ledger_seal_part FROM purser_kernel;
REVOKE UPDATE, DELETE, TRUNCATE ON billing_verification_run FROM purser_app;
GRANT SELECT ON billing_topup_package, billing_auto_topup, billing_conversion,
  billing_invoice, billing_payment, billing_credit_note TO purser_kernel;
"""
_SPACE = """
ALTER TABLE billing_credit_account SET (fillfactor = 50);
ALTER TABLE billing_credit_block SET (fillfactor = 70);
ALTER TABLE billing_hold SET (fillfactor = 80);
"""
_LINES = """
-- A line says what its series came to before it: what the line before it says it came to.
ALTER TABLE billing_invoice_line
  ADD CONSTRAINT a_line_and_what_its_series_came_to UNIQUE (id, series, rated_minor),
  ADD CONSTRAINT a_line_continues_where_its_series_stood
    FOREIGN KEY (previous_id, series, rated_before_minor)
    REFERENCES billing_invoice_line (id, series, rated_minor);
"""
_SEALED = """
CREATE TRIGGER an_issued_invoice_is_sealed BEFORE UPDATE OR DELETE ON billing_invoice
  FOR EACH ROW EXECUTE FUNCTION billing_invoice_guard();
CREATE TRIGGER a_line_continues_a_live_one BEFORE INSERT ON billing_invoice_line
  FOR EACH ROW WHEN (NEW.previous_id IS NOT NULL) EXECUTE FUNCTION billing_invoice_line_continues();
CREATE TRIGGER a_line_is_sealed BEFORE UPDATE OR DELETE ON billing_invoice_line
  FOR EACH ROW EXECUTE FUNCTION billing_invoice_line_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("customers", "0002_functions_and_policies")]

    operations = [
        frozen_sql(__file__, "ledger", "proof", "invoicing"),
        environment_rows(*_WRITTEN_BY_THE_KERNEL, *_WRITTEN_BY_THE_APPLICATION),
        kernel_only(*_WRITTEN_BY_THE_KERNEL),
        append_only(*_APPEND_ONLY),
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
        migrations.RunSQL(_SPACE, migrations.RunSQL.noop),
        migrations.RunSQL(_LINES, migrations.RunSQL.noop),
        migrations.RunSQL(_SEALED, migrations.RunSQL.noop),
    ]
