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
# What tables elsewhere check: the text of a check is read anew in each statement that writes to its table, a domain's once in a
# connection. With eleven of them out of the way a debit takes a third less; 32_block_guard.sql has the rest.
_DOMAINS = """
CREATE DOMAIN billing_balance AS bigint
  CONSTRAINT balance_is_exact_in_javascript CHECK (VALUE BETWEEN -9000000000000000 AND 9000000000000000);
CREATE DOMAIN billing_overdraft AS bigint CONSTRAINT overdraft_is_not_negative CHECK (VALUE >= 0);
CREATE DOMAIN billing_reserved AS bigint CONSTRAINT reserved_is_not_negative CHECK (VALUE >= 0);
CREATE DOMAIN billing_priority AS smallint
  CONSTRAINT block_priority_is_between_0_and_100 CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN billing_block_state AS varchar(8)
  CONSTRAINT block_state_is_known CHECK (VALUE IN ('pending', 'live', 'spent', 'expired', 'voided'));
CREATE DOMAIN billing_entry_kind AS varchar(8) CONSTRAINT entry_kind_is_known
  CHECK (VALUE IN ('grant', 'debit', 'expire', 'adjust', 'rollover', 'refund', 'convert'));
ALTER TABLE billing_credit_account
  ALTER balance_mc TYPE billing_balance,
  ALTER overdraft_mc TYPE billing_overdraft,
  ALTER reserved_mc TYPE billing_reserved;
ALTER TABLE billing_credit_block ALTER priority TYPE billing_priority, ALTER state TYPE billing_block_state;
ALTER TABLE billing_ledger_entry ALTER kind TYPE billing_entry_kind;
"""
# By id, and an environment's newest first, in one index.
_ENTRY_KEY = """
ALTER TABLE billing_ledger_entry DROP CONSTRAINT billing_ledger_entry_pkey;
ALTER TABLE billing_ledger_entry ADD PRIMARY KEY (environment_id, id);
"""
_BLOCKS = """
CREATE TRIGGER a_block_is_possible AFTER INSERT OR UPDATE ON billing_credit_block
  FOR EACH ROW EXECUTE FUNCTION billing_block_guard();
"""
_LOW_BALANCE = """
CREATE TRIGGER an_account_knows_its_threshold AFTER UPDATE OF low_balance_threshold_mc ON customers_customer FOR EACH ROW
WHEN (OLD.low_balance_threshold_mc IS DISTINCT FROM NEW.low_balance_threshold_mc)
EXECUTE FUNCTION billing_low_balance_push();
"""
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
        migrations.RunSQL(_DOMAINS, migrations.RunSQL.noop),
        migrations.RunSQL(_ENTRY_KEY, migrations.RunSQL.noop),
        frozen_sql(__file__, "ledger", "proof", "invoicing"),
        migrations.RunSQL(_BLOCKS, migrations.RunSQL.noop),
        migrations.RunSQL(_LOW_BALANCE, migrations.RunSQL.noop),
        environment_rows(*_WRITTEN_BY_THE_KERNEL, *_WRITTEN_BY_THE_APPLICATION),
        kernel_only(*_WRITTEN_BY_THE_KERNEL),
        append_only(*_APPEND_ONLY),
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
        migrations.RunSQL(_SPACE, migrations.RunSQL.noop),
        migrations.RunSQL(_LINES, migrations.RunSQL.noop),
        migrations.RunSQL(_SEALED, migrations.RunSQL.noop),
    ]
