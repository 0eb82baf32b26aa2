"""For migrations: who may see and write a table's rows."""

from __future__ import annotations

from django.db import migrations

_VISIBLE = "environment_id = (SELECT nullif(current_setting('purser.environment_id', true), '')::uuid)"


def environment_rows(*tables: str) -> migrations.RunSQL:
    """Row-level security: the application sees and writes one environment's rows, the kernel's functions all."""
    return migrations.RunSQL(
        "".join(_enable(table) for table in tables), "".join(_disable(table) for table in tables)
    )


def kernel_only(*tables: str) -> migrations.RunSQL:
    """Tables that the application may read, and only the kernel's functions may write."""
    return migrations.RunSQL(
        "".join(
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {table} FROM purser_app;"
            f"GRANT SELECT, INSERT, UPDATE ON {table} TO purser_kernel;"
            for table in tables
        ),
        migrations.RunSQL.noop,
    )


def append_only(*tables: str) -> migrations.RunSQL:
    """Tables whose rows nobody changes or removes, whatever the role."""
    return migrations.RunSQL(
        "".join(
            f"CREATE TRIGGER {table}_is_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION customers_refuse_change();"
            f"CREATE TRIGGER {table}_is_never_emptied BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION customers_refuse_change();"
            for table in tables
        ),
        migrations.RunSQL.noop,
    )


def _enable(table: str) -> str:
    return (
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;"
        f"CREATE POLICY {table}_of_one_environment ON {table} TO purser_app USING ({_VISIBLE}) WITH CHECK ({_VISIBLE});"
        f"CREATE POLICY {table}_for_the_kernel ON {table} TO purser_kernel USING (true) WITH CHECK (true);"
    )


def _disable(table: str) -> str:
    return (
        f"DROP POLICY {table}_of_one_environment ON {table}; DROP POLICY {table}_for_the_kernel ON {table};"
        f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;"
    )
