import datetime
import uuid

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models

import customers.kernel.ids
import metering.models.usage_event
from customers.kernel.partitioned import CreatePartitionedModel
from customers.kernel.tables import CreateModels


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("billing", "0001_initial"),
        ("customers", "0001_initial"),
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
                "indexes": [models.Index(fields=["environment", "id"], name="metrics_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "key"), name="a_metric_key_is_unique_in_its_environment"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("key__regex", "^[a-z][a-z0-9_.-]{0,63}$")),
                        name="metric_key_is_well_formed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "aggregation__in",
                                ["sum", "count", "max", "min", "last", "unique_count", "percentile"],
                            )
                        ),
                        name="aggregation_is_one_of_the_seven",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["active", "inactive"])),
                        name="metric_status_is_active_or_inactive",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("aggregation", "unique_count"), ("aggregation_property__isnull", False)
                            ),
                            models.Q(
                                models.Q(("aggregation", "unique_count"), _negated=True),
                                ("aggregation_property__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="unique_count_and_only_it_names_a_property",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("aggregation", "percentile"),
                                ("percentile__gte", 0),
                                ("percentile__lte", 100),
                            ),
                            models.Q(
                                models.Q(("aggregation", "percentile"), _negated=True),
                                ("percentile__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="percentile_and_only_it_has_a_percentile_from_0_to_100",
                    ),
                ],
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
                            "customer_id",
                            "plan_variant_id",
                            models.Value(uuid.UUID("00000000-0000-0000-0000-000000000000")),
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
                "indexes": [
                    models.Index(fields=["environment", "id"], name="rules_newest_first"),
                    models.Index(
                        condition=models.Q(("customer__isnull", False)),
                        fields=["environment", "customer"],
                        name="rules_of_a_customer",
                    ),
                    models.Index(fields=["environment", "config_version"], name="rules_by_config_version"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "metric", "scope_id", "version"),
                        name="a_rule_version_exists_once_per_metric_and_scope",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("customer__isnull", True), ("plan_variant_id__isnull", True), _connector="OR"
                        ),
                        name="a_rule_is_for_a_customer_or_a_variant_not_both",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("version__gte", 1)), name="rule_versions_count_from_1"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("cost_type__in", ["flat", "per_unit", "package", "tiered", "rates"])
                        ),
                        name="cost_type_is_one_of_the_five",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("effective_from__gte", models.F("created_at"))),
                        name="a_rule_begins_no_earlier_than_it_was_made",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CycleCounter",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "metric_id",
                        "dimension",
                        "value",
                        "cycle_started_at",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("dimension", models.CharField(max_length=255)),
                ("value", models.CharField(max_length=255)),
                ("cycle_started_at", models.DateTimeField()),
                ("rule_id", models.UUIDField()),
                ("units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("charged_mc", models.BigIntegerField()),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
            ],
            options={
                "db_table": "metering_cycle_counter",
            },
        ),
        CreatePartitionedModel(
            partition_by="RANGE (id)",
            name="UsageEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("cost_mc", models.BigIntegerField()),
                ("ledger_entry_id", models.UUIDField(null=True)),
                ("idempotency_key", models.CharField(max_length=255)),
                ("occurred_at", models.DateTimeField()),
                ("received_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("properties", models.JSONField(null=True)),
                ("metadata", models.JSONField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="usage_events",
                        to="customers.customer",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.meteringrule",
                    ),
                ),
                ("cycle_charged_mc", models.BigIntegerField(null=True)),
                ("cycle_units", models.DecimalField(decimal_places=10, max_digits=38, null=True)),
                (
                    "recorded_xid",
                    models.BigIntegerField(db_default=metering.models.usage_event.StoringTransaction()),
                ),
            ],
            options={
                "db_table": "metering_usage_event",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["customer", "metric", "received_at"], name="events_as_received"),
                    django.contrib.postgres.indexes.BrinIndex(
                        autosummarize=True,
                        fields=["recorded_xid"],
                        name="events_by_transaction",
                        pages_per_range=64,
                    ),
                    models.Index(
                        condition=models.Q(
                            django.db.models.lookups.GreaterThan(
                                models.ExpressionWrapper(
                                    django.db.models.expressions.CombinedExpression(
                                        models.F("received_at"), "-", models.F("occurred_at")
                                    ),
                                    models.DurationField(),
                                ),
                                datetime.timedelta(seconds=3600),
                            )
                        ),
                        fields=["customer", "metric", "occurred_at"],
                        name="events_told_of_later",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("cost_mc__gte", 0)), name="usage_cost_is_not_negative"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageKey",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "environment_id",
                        "idempotency_key",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                ("event_id", models.UUIDField()),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                ("cost_mc", models.BigIntegerField()),
                ("idempotency_key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=16)),
            ],
            options={
                "db_table": "metering_usage_key",
            },
        ),
        migrations.CreateModel(
            name="EventVoid",
            fields=[
                (
                    "event",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="void",
                        serialize=False,
                        to="metering.usageevent",
                    ),
                ),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("refunded_mc", models.BigIntegerField()),
                ("refund_entry_id", models.UUIDField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("voided_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                (
                    "recorded_xid",
                    models.BigIntegerField(db_default=metering.models.usage_event.StoringTransaction()),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "metering_event_void",
                "ordering": ("-pk",),
                "indexes": [
                    models.Index(fields=["recorded_xid"], name="voids_by_transaction"),
                    models.Index(fields=["customer"], name="voids_of_a_customer"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("refunded_mc__gte", 0)), name="a_void_gives_nothing_twice"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                (
                    "hold",
                    models.OneToOneField(
                        db_column="id",
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="reservation",
                        serialize=False,
                        to="billing.hold",
                    ),
                ),
                ("dimension", models.CharField(blank=True, default="", max_length=255)),
                ("value", models.CharField(blank=True, default="", max_length=255)),
                ("is_counted", models.BooleanField()),
                ("estimated_units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("properties", models.JSONField(null=True)),
                ("idempotency_key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=16)),
                ("created_at", models.DateTimeField()),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reservations",
                        to="customers.customer",
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                (
                    "rule",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.meteringrule",
                    ),
                ),
            ],
            options={
                "db_table": "metering_reservation",
                "ordering": ("-pk",),
                "indexes": [
                    models.Index(fields=["customer", "hold"], name="reservations_of_a_customer"),
                    models.Index(fields=["environment", "hold"], name="reservations_newest_first"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "idempotency_key"), name="one_reservation_per_idempotency_key"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("estimated_units__gt", 0)), name="a_reservation_expects_something"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReservationStep",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[("commit", "Commit"), ("release", "Release"), ("extend", "Extend")],
                        max_length=7,
                    ),
                ),
                ("idempotency_key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=16)),
                ("event_id", models.UUIDField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("created_at", models.DateTimeField()),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "reservation",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="metering.reservation",
                    ),
                ),
            ],
            options={
                "db_table": "metering_reservation_step",
                "ordering": ("-id",),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "kind", "idempotency_key"),
                        name="one_step_of_a_kind_per_idempotency_key",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("kind__in", ("commit", "release"))),
                        fields=("reservation",),
                        name="a_reservation_is_ended_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Func(
                            models.F("kind"),
                            models.Value("{commit,release,extend}"),
                            arg_joiner=" = ANY (",
                            output_field=models.BooleanField(),
                            template="%(expressions)s)",
                        ),
                        name="step_kind_is_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "metric_id",
                        "hour",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("events", models.BigIntegerField()),
                ("units_sum", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_max", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_min", models.DecimalField(decimal_places=10, max_digits=38)),
                ("last_units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("last_at", models.DateTimeField()),
                ("last_event_id", models.UUIDField()),
                ("cost_mc", models.BigIntegerField()),
            ],
            options={
                "db_table": "metering_usage_hour",
                "indexes": [
                    models.Index(fields=["environment", "hour"], name="usage_hours_of_an_environment")
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageHourOfAll",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "metric_id", "hour", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("events", models.BigIntegerField()),
                ("units_sum", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_max", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_min", models.DecimalField(decimal_places=10, max_digits=38)),
                ("cost_mc", models.BigIntegerField()),
            ],
            options={
                "db_table": "metering_usage_hour_of_all",
                "indexes": [models.Index(fields=["environment", "hour"], name="usage_hours_of_all")],
            },
        ),
        migrations.CreateModel(
            name="UsageWatermark",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("recorded_before", models.BigIntegerField()),
                ("stored_before", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "metering_usage_watermark",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("id", 1)), name="there_is_one_usage_watermark")
                ],
            },
        ),
        migrations.CreateModel(
            name="SnapshotPause",
            fields=[
                (
                    "environment",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="customers.environment",
                    ),
                ),
                ("paused_until", models.DateTimeField()),
            ],
            options={
                "db_table": "metering_snapshot_pause",
            },
        ),
        migrations.CreateModel(
            name="EventArchive",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "environment_id",
                        "table_name",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                ("table_name", models.CharField(max_length=63)),
                ("first_id", models.UUIDField()),
                ("end_id", models.UUIDField()),
                ("events", models.BigIntegerField()),
                ("received_from", models.DateTimeField()),
                ("received_until", models.DateTimeField()),
                ("archived_at", models.DateTimeField()),
            ],
            options={
                "db_table": "metering_event_archive",
            },
        ),
        migrations.CreateModel(
            name="ArchivedHour",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "customer_id",
                        "metric_id",
                        "hour",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "environment",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
                (
                    "customer",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "metric",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="metering.billablemetric",
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("events", models.BigIntegerField()),
                ("units_sum", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_max", models.DecimalField(decimal_places=10, max_digits=38)),
                ("units_min", models.DecimalField(decimal_places=10, max_digits=38)),
                ("last_units", models.DecimalField(decimal_places=10, max_digits=38)),
                ("last_at", models.DateTimeField()),
                ("last_event_id", models.UUIDField()),
                ("cost_mc", models.BigIntegerField()),
            ],
            options={
                "db_table": "metering_archived_hour",
            },
        ),
    ]

    operations = [CreateModels(*operations)]
