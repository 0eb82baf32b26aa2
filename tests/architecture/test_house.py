"""The house rules that no import contract sees: which way foreign keys point, whose every row is, who asks the time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.db import connection

ROOT = Path(settings.BASE_DIR)
STACK = ("config", "subscriptions", "metering", "billing", "customers")
OURS = [model for app in STACK for model in apps.get_app_config(app).get_models(include_auto_created=True)]

# Tables of no environment, and why.
GLOBAL = {
    "metering_usage_watermark": "the events of all environments are read once, together",
    "customers_tenant": "a tenant has environments, and is in none",
    "customers_environment": "is one",
    "customers_user": "operators serve all tenants",
    "customers_user_groups": "of operators",
    "customers_user_user_permissions": "of operators",
}

# The environment, or the UUID of a row, which is in one environment for ever. Never a text of somebody's choice.
LEADING = {"ForeignKey", "OneToOneField", "UUIDField"}


def sources(*folders: str) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts and "local" not in path.relative_to(ROOT).parts[1:2]
    ]


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_foreign_keys_point_down_the_stack(model):
    here = STACK.index(model._meta.app_label)
    for field in model._meta.get_fields():
        there = getattr(field, "related_model", None)
        if there is None or field.auto_created or not hasattr(there, "_meta"):
            continue
        if there._meta.app_label in STACK:
            assert STACK.index(there._meta.app_label) >= here, f"{field} points up"


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_every_table_names_its_environment(model):
    if model._meta.db_table not in GLOBAL:
        assert "environment_id" in {field.attname for field in model._meta.concrete_fields}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_what_grows_is_indexed_upwards_also_for_newest_first(model):
    # Downwards every page would be split in half as it fills: twice the size, and a sixth more to write for each row.
    for index in model._meta.indexes:
        downwards = {name for name, order in index.fields_orders if order}
        assert downwards.isdisjoint({model._meta.pk.name, "created_at"}), index.name


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.label)
def test_what_is_unique_is_so_within_its_environment(model):
    globally_unique = {("customers_api_key", "secret_sha256"), ("customers_api_key", "id")}
    if model._meta.db_table in GLOBAL:
        return
    for constraint in model._meta.constraints:
        fields = getattr(constraint, "fields", ())
        if type(constraint).__name__ == "UniqueConstraint" and fields:
            assert model._meta.get_field(fields[0]).get_internal_type() in LEADING, constraint.name
    for field in model._meta.concrete_fields:
        if field.unique and not field.primary_key and not field.is_relation:
            assert (model._meta.db_table, field.name) in globally_unique, field


def tables_of_an_environment() -> list[tuple[str, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, c.relrowsecurity FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
            "AND a.attname = 'environment_id' AND NOT a.attisdropped ORDER BY 1"
        )
        return list(cursor.fetchall())


def test_every_such_table_has_row_level_security_partitions_and_hidden_ones_included():
    tables = tables_of_an_environment()

    assert ("customers_customer", True) in tables
    assert [name for name, secured in tables if not secured] == []


def test_every_such_table_has_both_policies():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tablename, array_agg(roles::text ORDER BY roles::text) FROM pg_policies GROUP BY 1"
        )
        policies = dict(cursor.fetchall())

    for table, _ in tables_of_an_environment():
        assert policies[table] == ["{purser_app}", "{purser_kernel}"], table


def test_there_are_no_other_tables_of_ours_without_an_environment():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace "
            "AND c.relkind IN ('r', 'p') AND split_part(c.relname, '_', 1) = ANY(%s) "
            "AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'environment_id')",
            [list(STACK)],
        )
        assert {name for (name,) in cursor.fetchall()} <= GLOBAL.keys()


#: Whoever asks the system for the time, however it is spelled.
CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("timezone", "now"),
    ("timezone", "localtime"),
    ("timezone", "localdate"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("time", "perf_counter"),
}


def test_only_the_clock_asks_the_system_for_the_time():
    asking = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(*STACK)
        if path.relative_to(ROOT) != Path("customers/kernel/clock.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in CLOCKS
    ]
    assert asking == []


def test_the_kernels_sql_is_told_the_time():
    """The database's clock orders ids and nothing else."""
    asking = [
        str(path.relative_to(ROOT))
        for app in STACK
        for path in (ROOT / app).rglob("*.sql")
        if "migrations" not in path.parts
        for line in path.read_text().lower().splitlines()
        if any(
            clock in line.partition("--")[0]
            for clock in ("now()", "current_timestamp", "clock_timestamp", "current_date")
        )
    ]
    assert set(asking) <= {"customers/sql/10_uuid7.sql"}


def test_no_column_of_a_list_is_hidden_by_a_field_of_its_name():
    # Django takes the field, and shows 7 as 7.0000000000.
    for shown in admin.site._registry.values():
        fields = {field.name for field in shown.model._meta.get_fields()}
        hidden = {name for name in shown.list_display if name in fields and hasattr(type(shown), str(name))}
        assert not hidden, shown


def test_no_signals_and_no_utils():
    for path in sources(*STACK):
        assert path.name not in {"utils.py", "helpers.py", "signals.py"}, path
        text = path.read_text()
        assert "django.dispatch" not in text, path
        assert "django.db.models.signals" not in text, path


def test_imports_stand_at_the_top():
    """A function-level import hides a circle. One is there for another reason: what draws PDFs takes long to load."""
    inside = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(*STACK)
        if path != ROOT / "billing/gateways/invoice_pdf.py"
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []
