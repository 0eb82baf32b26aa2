import uuid

import django.db.models.deletion
import django.db.models.functions.comparison
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.rows import append_only, environment_rows

# Prices are immutable, and so is what a metric is called and counts; the kernel's functions only read both.
_PRIVILEGES = """
GRANT SELECT ON metering_metric, metering_rule TO purser_kernel;
REVOKE UPDATE, DELETE, TRUNCATE ON metering_rule, metering_metric FROM purser_app;
GRANT UPDATE (name, description, status, updated_at) ON metering_metric TO purser_app;
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("customers", "0002_rows_and_functions"),
    ]

    operations = [
        migrations.CreateModel(
            name="BillableMetric",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.CharField(max_length=64)),
                ("name", models.CharField(max_length=200)),
                ("description", models.CharField(blank=True, default="", max_length=1000)),
                (
                    "aggregation",
                    models.CharField(
                        choices=[
                            ("sum", "Sum"),
                            ("count", "Count"),
                            ("max", "Maximum"),
                            ("min", "Minimum"),
                            ("last", "Last"),
                            ("unique_count", "Unique count"),
                            ("percentile", "Percentile"),
                        ],
                        default="sum",
                        max_length=12,
                    ),
                ),
                ("aggregation_property", models.CharField(blank=True, max_length=255, null=True)),
                ("percentile", models.DecimalField(blank=True, decimal_places=10, max_digits=13, null=True)),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("inactive", "Inactive")],
                        default="active",
                        max_length=8,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="metrics",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "verbose_name": "billable metric",
                "db_table": "metering_metric",
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="MeteringRule",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("plan_variant_id", models.UUIDField(blank=True, null=True)),
                (
                    "scope_id",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.functions.comparison.Coalesce(
                            "customer_id", "plan_variant_id", models.Value(uuid.UUID(int=0))
                        ),
                        output_field=models.UUIDField(),
                    ),
                ),
                ("version", models.IntegerField()),
                (
                    "cost_type",
                    models.CharField(
                        choices=[
                            ("flat", "Flat"),
                            ("per_unit", "Per unit"),
                            ("package", "Package"),
                            ("tiered", "Tiered"),
                            ("rates", "By a property"),
                        ],
                        max_length=8,
                    ),
                ),
                ("definition", models.JSONField()),
                ("effective_from", models.DateTimeField()),
                ("config_version", models.BigIntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rules",
                        to="metering.billablemetric",
                    ),
                ),
            ],
            options={
                "db_table": "metering_rule",
                "ordering": ("-id",),
            },
        ),
        migrations.AddIndex(
            model_name="billablemetric",
            index=models.Index(fields=["environment", "-id"], name="metrics_newest_first"),
        ),
        migrations.AddConstraint(
            model_name="billablemetric",
            constraint=models.UniqueConstraint(
                fields=("environment", "key"), name="a_metric_key_is_unique_in_its_environment"
            ),
        ),
        migrations.AddConstraint(
            model_name="billablemetric",
            constraint=models.CheckConstraint(
                condition=models.Q(("key__regex", "^[a-z][a-z0-9_.-]{0,63}$")),
                name="metric_key_is_well_formed",
            ),
        ),
        migrations.AddConstraint(
            model_name="billablemetric",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("aggregation__in", ["sum", "count", "max", "min", "last", "unique_count", "percentile"])
                ),
                name="aggregation_is_one_of_the_seven",
            ),
        ),
        migrations.AddConstraint(
            model_name="billablemetric",
            constraint=models.CheckConstraint(
                condition=models.Q(("status__in", ["active", "inactive"])),
                name="metric_status_is_active_or_inactive",
            ),
        ),
        migrations.AddConstraint(
            model_name="billablemetric",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("aggregation", "unique_count"), ("aggregation_property__isnull", False)),
                    models.Q(
                        models.Q(("aggregation", "unique_count"), _negated=True),
                        ("aggregation_property__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="unique_count_and_only_it_names_a_property",
            ),
        ),
        migrations.AddConstraint(
            model_name="billablemetric",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("aggregation", "percentile"), ("percentile__gte", 0), ("percentile__lte", 100)),
                    models.Q(
                        models.Q(("aggregation", "percentile"), _negated=True), ("percentile__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="percentile_and_only_it_has_a_percentile_from_0_to_100",
            ),
        ),
        migrations.AddIndex(
            model_name="meteringrule",
            index=models.Index(fields=["environment", "-id"], name="rules_newest_first"),
        ),
        migrations.AddIndex(
            model_name="meteringrule",
            index=models.Index(
                condition=models.Q(("customer__isnull", False)),
                fields=["environment", "customer"],
                name="rules_of_a_customer",
            ),
        ),
        migrations.AddIndex(
            model_name="meteringrule",
            index=models.Index(fields=["environment", "config_version"], name="rules_by_config_version"),
        ),
        migrations.AddConstraint(
            model_name="meteringrule",
            constraint=models.UniqueConstraint(
                fields=("environment", "metric", "scope_id", "version"),
                name="a_rule_version_exists_once_per_metric_and_scope",
            ),
        ),
        migrations.AddConstraint(
            model_name="meteringrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("customer__isnull", True), ("plan_variant_id__isnull", True), _connector="OR"
                ),
                name="a_rule_is_for_a_customer_or_a_variant_not_both",
            ),
        ),
        migrations.AddConstraint(
            model_name="meteringrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("version__gte", 1)), name="rule_versions_count_from_1"
            ),
        ),
        migrations.AddConstraint(
            model_name="meteringrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("cost_type__in", ["flat", "per_unit", "package", "tiered", "rates"])),
                name="cost_type_is_one_of_the_five",
            ),
        ),
        migrations.AddConstraint(
            model_name="meteringrule",
            constraint=models.CheckConstraint(
                condition=models.Q(("effective_from__gte", models.F("created_at"))),
                name="a_rule_begins_no_earlier_than_it_was_made",
            ),
        ),
        environment_rows("metering_metric", "metering_rule"),
        append_only("metering_rule"),
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
    ]
