from __future__ import annotations

from django.db import migrations

from customers.kernel.rows import append_only, environment_rows, kernel_only
from customers.kernel.sql_files import frozen_sql

_TABLES = ("billing_credit_account", "billing_credit_block", "billing_ledger_entry", "billing_hold")

# Every movement updates its account and a block or two; room on the page keeps those updates away from the indexes.
_STORAGE = """
ALTER TABLE billing_credit_account SET (fillfactor = 50);
ALTER TABLE billing_credit_block SET (fillfactor = 70);
ALTER TABLE billing_hold SET (fillfactor = 80);
REVOKE UPDATE ON billing_ledger_entry FROM purser_kernel;
"""


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial"), ("customers", "0002_rows_and_functions")]

    operations = [
        frozen_sql(__file__),
        environment_rows(*_TABLES),
        kernel_only(*_TABLES),
        append_only("billing_ledger_entry"),
        migrations.RunSQL(_STORAGE, migrations.RunSQL.noop),
    ]
