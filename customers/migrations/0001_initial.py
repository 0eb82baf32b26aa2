import django.contrib.auth.models
import django.contrib.auth.validators
import django.contrib.postgres.fields
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import customers.kernel.ids
from customers.kernel.tables import CreateModels


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.CreateModel(
            name="Tenant",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200, unique=True)),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "db_table": "customers_tenant",
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("password", models.CharField(max_length=128, verbose_name="password")),
                ("last_login", models.DateTimeField(blank=True, null=True, verbose_name="last login")),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "username",
                    models.CharField(
                        error_messages={"unique": "A user with that username already exists."},
                        help_text="Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.",
                        max_length=150,
                        unique=True,
                        validators=[django.contrib.auth.validators.UnicodeUsernameValidator()],
                        verbose_name="username",
                    ),
                ),
                ("first_name", models.CharField(blank=True, max_length=150, verbose_name="first name")),
                ("last_name", models.CharField(blank=True, max_length=150, verbose_name="last name")),
                ("email", models.EmailField(blank=True, max_length=254, verbose_name="email address")),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                (
                    "date_joined",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="date joined"),
                ),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
                ("has_second_factor", models.BooleanField(default=False)),
                ("openid_issuer", models.CharField(blank=True, default="", editable=False, max_length=255)),
                ("openid_subject", models.CharField(blank=True, default="", editable=False, max_length=255)),
            ],
            options={
                "verbose_name": "user",
                "verbose_name_plural": "users",
                "db_table": "customers_user",
                "abstract": False,
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("openid_subject", ""), _negated=True),
                        fields=("openid_issuer", "openid_subject"),
                        name="an_account_at_a_provider_is_one_person",
                    )
                ],
            },
            managers=[
                ("objects", django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name="Environment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(choices=[("live", "Live"), ("test", "Test")], max_length=4)),
                ("config_version", models.BigIntegerField(default=1)),
                ("frozen_at", models.DateTimeField(blank=True, null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="environments",
                        to="customers.tenant",
                    ),
                ),
                ("tells_consumption", models.BooleanField(db_default=False, default=False)),
            ],
            options={
                "db_table": "customers_environment",
                "ordering": ("tenant", "kind"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("tenant", "kind"), name="one_environment_of_each_kind_per_tenant"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ("live", "test"))),
                        name="environment_kind_is_live_or_test",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("frozen_at__isnull", True), ("kind", "test"), _connector="OR"),
                        name="only_a_test_environment_has_a_test_clock",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Customer",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("public_id", models.CharField(max_length=255)),
                ("external_id", models.CharField(blank=True, max_length=255, null=True)),
                ("external_key", models.CharField(blank=True, max_length=255, null=True)),
                ("display_name", models.CharField(blank=True, max_length=200, null=True)),
                ("name", models.CharField(blank=True, max_length=200, null=True)),
                ("email", models.CharField(blank=True, max_length=320, null=True)),
                (
                    "overage_policy",
                    models.CharField(
                        choices=[("block", "Block"), ("allow", "Allow"), ("notify", "Allow and notify")],
                        db_default="block",
                        default="block",
                        max_length=6,
                    ),
                ),
                ("overage_limit_mc", models.BigIntegerField(blank=True, null=True)),
                ("low_balance_threshold_mc", models.BigIntegerField(blank=True, null=True)),
                ("timezone", models.CharField(db_default="UTC", default="UTC", max_length=64)),
                ("payment_provider", models.CharField(blank=True, max_length=40, null=True)),
                ("payment_provider_customer_id", models.CharField(blank=True, max_length=255, null=True)),
                ("payment_method_id", models.CharField(blank=True, max_length=255, null=True)),
                ("metadata", models.JSONField(blank=True, db_default={}, default=dict)),
                ("event_sequence", models.BigIntegerField(db_default=0, default=0)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(blank=True, null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="customers",
                        to="customers.environment",
                    ),
                ),
                ("billing_address", models.CharField(blank=True, max_length=1000, null=True)),
                ("tax_id", models.CharField(blank=True, max_length=64, null=True)),
                ("tax_rate", models.DecimalField(blank=True, decimal_places=4, max_digits=7, null=True)),
            ],
            options={
                "db_table": "customers_customer",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="customers_newest_first")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "public_id"), name="a_customer_id_is_unique_in_its_environment"
                    ),
                    models.UniqueConstraint(
                        fields=("environment", "external_key"), name="an_external_id_reaches_one_customer"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("overage_limit_mc__isnull", True), ("overage_limit_mc__gte", 0), _connector="OR"
                        ),
                        name="overage_limit_is_not_negative",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("tax_rate__isnull", True),
                            models.Q(("tax_rate__gte", 0), ("tax_rate__lte", 100)),
                            _connector="OR",
                        ),
                        name="tax_rate_is_a_percentage",
                    ),
                    models.CheckConstraint(
                        condition=models.Func(
                            models.F("overage_policy"),
                            models.Value("{block,allow,notify}"),
                            arg_joiner=" = ANY (",
                            output_field=models.BooleanField(),
                            template="%(expressions)s)",
                        ),
                        name="overage_policy_is_block_allow_or_notify",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("actor", models.CharField(max_length=200)),
                ("action", models.CharField(max_length=60)),
                ("object_type", models.CharField(max_length=40)),
                ("object_id", models.CharField(max_length=255)),
                ("customer_id", models.UUIDField(null=True)),
                ("reason", models.CharField(blank=True, default="", max_length=1000)),
                ("changes", models.JSONField(default=dict)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("address", models.CharField(blank=True, default="", max_length=60)),
                ("occurred_at", models.DateTimeField()),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "customers_audit_record",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="audit_newest_first"),
                    models.Index(fields=["environment", "customer_id", "id"], name="audit_of_a_customer"),
                    models.Index(
                        fields=["environment", "object_type", "object_id"], name="audit_of_an_object"
                    ),
                    models.Index(fields=["environment", "request_id"], name="audit_of_a_request"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("hint", models.CharField(max_length=20)),
                ("secret_sha256", models.BinaryField(max_length=32, unique=True)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), blank=True, default=list, size=None
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="api_keys",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "customers_api_key",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["environment", "id"], name="api_keys_newest_first")],
            },
        ),
        migrations.CreateModel(
            name="IdempotencyRecord",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("family", models.CharField(max_length=40)),
                ("key", models.CharField(max_length=255)),
                ("fingerprint", models.BinaryField(max_length=32)),
                ("effect_id", models.UUIDField(null=True)),
                ("status", models.SmallIntegerField(null=True)),
                ("body", models.BinaryField(null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "environment",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "customers_idempotency_record",
                "indexes": [
                    models.Index(
                        condition=models.Q(("status__isnull", False)),
                        fields=["created_at"],
                        name="stored_answers_by_age",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "family", "key"),
                        name="an_idempotency_key_is_used_once_per_family",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="OutboxEvent",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("event", models.CharField(max_length=60)),
                ("customer_id", models.UUIDField(null=True)),
                ("sequence", models.BigIntegerField(null=True)),
                ("payload", models.JSONField()),
                ("occurred_at", models.DateTimeField()),
                ("dispatched_at", models.DateTimeField(null=True)),
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
                ("position", models.BigIntegerField(null=True)),
            ],
            options={
                "db_table": "customers_outbox_event",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="webhook_events_newest_first"),
                    models.Index(
                        condition=models.Q(("dispatched_at__isnull", True)),
                        fields=["environment", "id"],
                        name="webhook_events_to_hand_out",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "customer_id", "sequence"),
                        name="events_of_a_customer_are_numbered_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("position__isnull", False)),
                        fields=("environment", "position"),
                        name="events_are_handed_out_one_after_another",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(max_length=60)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("canceled", "Canceled"),
                        ],
                        default="queued",
                        max_length=8,
                    ),
                ),
                ("total", models.BigIntegerField(null=True)),
                ("done", models.BigIntegerField(default=0)),
                ("parameters", models.JSONField()),
                ("checkpoint", models.JSONField(null=True)),
                ("result", models.JSONField(null=True)),
                ("error", models.CharField(blank=True, default="", max_length=1000)),
                ("actor", models.CharField(max_length=200)),
                ("request_id", models.CharField(blank=True, default="", max_length=60)),
                ("run_id", models.UUIDField(null=True)),
                ("attempts", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("heartbeat_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "customers_job",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="jobs_newest_first"),
                    models.Index(
                        condition=models.Q(("state__in", ("queued", "running"))),
                        fields=["id"],
                        name="jobs_to_do",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["queued", "running", "paused", "done", "failed", "canceled"])
                        ),
                        name="job_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("finished_at__isnull", True), ("state__in", ("queued", "running", "paused"))
                            ),
                            models.Q(
                                models.Q(("state__in", ("queued", "running", "paused")), _negated=True),
                                ("finished_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="a_job_is_finished_when_it_says_so",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="JobResult",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "job_id", "position", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.BigIntegerField()),
                ("data", models.JSONField()),
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
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="results",
                        to="customers.job",
                    ),
                ),
            ],
            options={
                "db_table": "customers_job_result",
                "ordering": ("job_id", "position"),
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("url", models.CharField(max_length=2000)),
                ("description", models.CharField(blank=True, default="", max_length=500)),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=60), size=None
                    ),
                ),
                (
                    "status",
                    models.CharField(
                        choices=[("active", "Active"), ("paused", "Paused"), ("disabled", "Disabled")],
                        default="active",
                        max_length=8,
                    ),
                ),
                ("status_reason", models.CharField(blank=True, default="", max_length=20)),
                ("secret_salt", models.CharField(max_length=32)),
                ("secret_check", models.CharField(max_length=16)),
                ("previous_salt", models.CharField(blank=True, default="", max_length=32)),
                ("previous_until", models.DateTimeField(null=True)),
                ("failures", models.IntegerField(default=0)),
                ("failing_since", models.DateTimeField(null=True)),
                ("open_until", models.DateTimeField(null=True)),
                ("latency_ms", models.IntegerField(null=True)),
                ("last_success_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                ("deleted_at", models.DateTimeField(null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "customers_webhook_endpoint",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="webhook_endpoints_newest_first")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("status__in", ["active", "paused", "disabled"])),
                        name="webhook_endpoint_is_active_paused_or_disabled",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("customer_id", models.UUIDField(null=True)),
                ("lane", models.UUIDField()),
                ("sequence", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("delivered", "Delivered"),
                            ("dead", "Dead"),
                            ("skipped", "Skipped"),
                        ],
                        default="pending",
                        max_length=9,
                    ),
                ),
                ("attempts", models.IntegerField(default=0)),
                ("tries", models.IntegerField(default=0)),
                ("next_attempt_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
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
                    "event",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="deliveries",
                        to="customers.outboxevent",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.webhookendpoint",
                    ),
                ),
            ],
            options={
                "db_table": "customers_webhook_delivery",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="deliveries_newest_first"),
                    models.Index(fields=["endpoint", "id"], name="deliveries_of_an_endpoint"),
                    models.Index(
                        fields=["environment", "customer_id", "id"], name="deliveries_of_a_customer"
                    ),
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["endpoint", "lane", "sequence"],
                        name="deliveries_waiting_in_order",
                    ),
                    models.Index(
                        condition=models.Q(("state", "dead")),
                        fields=["environment", "id"],
                        name="deliveries_dead",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event", "endpoint"), name="an_event_goes_to_an_endpoint_by_one_delivery"
                    ),
                    models.CheckConstraint(
                        condition=models.Func(
                            models.F("state"),
                            models.Value("{pending,delivered,dead,skipped}"),
                            arg_joiner=" = ANY (",
                            output_field=models.BooleanField(),
                            template="%(expressions)s)",
                        ),
                        name="webhook_delivery_state_is_one_of_four",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WebhookAttempt",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.IntegerField()),
                ("started_at", models.DateTimeField()),
                ("url", models.CharField(max_length=2000)),
                ("request_headers", models.JSONField()),
                ("body_sha256", models.CharField(max_length=64)),
                ("response_status", models.SmallIntegerField(null=True)),
                ("response_head", models.TextField(blank=True, default="")),
                ("latency_ms", models.IntegerField()),
                ("error", models.CharField(blank=True, default="", max_length=300)),
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
                    "delivery",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="attempt_rows",
                        to="customers.webhookdelivery",
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.webhookendpoint",
                    ),
                ),
            ],
            options={
                "db_table": "customers_webhook_attempt",
                "ordering": ("-id",),
                "indexes": [models.Index(fields=["endpoint", "id"], name="attempts_at_an_endpoint")],
            },
        ),
        migrations.CreateModel(
            name="WebhookLane",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "endpoint_id", "lane", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.webhookendpoint",
                    ),
                ),
                ("lane", models.UUIDField()),
                ("next_at", models.DateTimeField()),
                ("claim_id", models.UUIDField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
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
                "db_table": "customers_webhook_lane",
                "indexes": [models.Index(fields=["endpoint", "next_at"], name="webhook_lanes_by_time")],
            },
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("deed", models.CharField(max_length=40)),
                ("payload", models.JSONField()),
                ("subject", models.CharField(max_length=255)),
                ("amount", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("reason", models.CharField(max_length=1000)),
                ("requested_by", models.CharField(max_length=200)),
                ("requested_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                ("preview", models.JSONField()),
                ("fingerprint", models.CharField(max_length=64)),
                ("idempotency_key", models.CharField(max_length=255)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Waiting"),
                            ("approved", "Approved"),
                            ("rejected", "Rejected"),
                            ("expired", "Expired"),
                            ("canceled", "Canceled"),
                            ("failed", "Failed"),
                        ],
                        default="pending",
                        max_length=8,
                    ),
                ),
                ("decided_by", models.CharField(blank=True, default="", max_length=200)),
                ("decided_at", models.DateTimeField(null=True)),
                ("decision_reason", models.CharField(blank=True, default="", max_length=1000)),
                ("result", models.JSONField(null=True)),
                ("is_break_glass", models.BooleanField(default=False)),
                (
                    "customer",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.customer",
                    ),
                ),
                (
                    "decider",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
                    "requester",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "db_table": "customers_approval",
                "ordering": ("-id",),
                "permissions": (("break_glass", "Can act alone above a limit"),),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="approvals_newest_first"),
                    models.Index(
                        condition=models.Q(("state", "pending")),
                        fields=["environment", "expires_at"],
                        name="approvals_that_wait",
                    ),
                    models.Index(
                        condition=models.Q(("is_break_glass", True)),
                        fields=["environment", "-decided_at"],
                        name="broken_glasses",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "idempotency_key"), name="a_form_asks_for_approval_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            (
                                "state__in",
                                ["pending", "approved", "rejected", "expired", "canceled", "failed"],
                            )
                        ),
                        name="approval_state_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at__isnull", True), ("state", "pending")),
                            models.Q(
                                models.Q(("state", "pending"), _negated=True), ("decided_at__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="an_approval_is_decided_when_it_says_so",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("state__in", ("approved", "rejected", "canceled", "failed")), _negated=True
                            ),
                            ("decider__isnull", False),
                            _connector="OR",
                        ),
                        name="somebody_decides_an_approval",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state__in", ("approved", "rejected", "failed")), _negated=True),
                            models.Q(("decider", models.F("requester")), _negated=True),
                            ("is_break_glass", True),
                            _connector="OR",
                        ),
                        name="nobody_decides_their_own_request",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_break_glass", False),
                            models.Q(("decider", models.F("requester")), ("state", "approved")),
                            _connector="OR",
                        ),
                        name="a_broken_glass_is_one_persons_deed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__gte", 0)), name="an_approval_is_for_an_amount"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ApprovalLimit",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("role", models.CharField(max_length=150)),
                ("deed", models.CharField(max_length=40)),
                ("currency", models.CharField(blank=True, default="", max_length=3)),
                ("amount", models.DecimalField(decimal_places=3, max_digits=20, null=True)),
                (
                    "environment",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.environment",
                    ),
                ),
            ],
            options={
                "db_table": "customers_approval_limit",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("environment", "role", "deed", "currency"),
                        name="one_limit_for_a_role_and_a_deed",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount__isnull", True), ("amount__gte", 0), _connector="OR"),
                        name="a_limit_is_not_negative",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ImportBatch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("kind", models.CharField(max_length=40)),
                ("file_name", models.CharField(max_length=255)),
                ("file_sha256", models.CharField(max_length=64)),
                ("size_bytes", models.BigIntegerField()),
                ("delimiter", models.CharField(max_length=1)),
                ("columns", models.JSONField()),
                ("mapping", models.JSONField(default=dict)),
                ("constants", models.JSONField(default=dict)),
                ("row_count", models.BigIntegerField()),
                (
                    "stage",
                    models.CharField(
                        choices=[
                            ("uploaded", "Uploaded"),
                            ("check", "Dry run"),
                            ("run", "Import"),
                            ("reverse", "Reversal"),
                        ],
                        default="uploaded",
                        max_length=8,
                    ),
                ),
                ("expected_counts", models.JSONField(default=dict)),
                ("counts", models.JSONField(default=dict)),
                ("reversal_counts", models.JSONField(default=dict)),
                ("reversal_reason", models.CharField(blank=True, default="", max_length=1000)),
                ("actor", models.CharField(max_length=200)),
                ("created_at", models.DateTimeField()),
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
                    "job",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.job",
                    ),
                ),
            ],
            options={
                "db_table": "customers_import",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="imports_newest_first"),
                    models.Index(fields=["environment", "file_sha256"], name="imports_of_a_file"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("stage__in", ["uploaded", "check", "run", "reverse"])),
                        name="import_stage_is_known",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ImportRow",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "batch_id", "position", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.IntegerField()),
                ("line", models.IntegerField()),
                ("cells", models.JSONField()),
                ("fault", models.CharField(blank=True, default="", max_length=300)),
                ("identity", models.CharField(blank=True, default="", max_length=32)),
                (
                    "expected",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("made", "Made"),
                            ("changed", "Changed"),
                            ("unchanged", "Unchanged"),
                            ("refused", "Refused"),
                        ],
                        default="",
                        max_length=9,
                    ),
                ),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("made", "Made"),
                            ("changed", "Changed"),
                            ("unchanged", "Unchanged"),
                            ("refused", "Refused"),
                        ],
                        default="",
                        max_length=9,
                    ),
                ),
                ("errors", models.JSONField(default=list)),
                ("object_type", models.CharField(blank=True, default="", max_length=20)),
                ("object_id", models.UUIDField(null=True)),
                ("object_label", models.CharField(blank=True, default="", max_length=255)),
                ("details", models.JSONField(default=dict)),
                (
                    "reversal",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("reversed", "Reversed"),
                            ("partly", "Partly reversed"),
                            ("kept", "Not reversed"),
                        ],
                        default="",
                        max_length=8,
                    ),
                ),
                ("reversal_note", models.CharField(blank=True, default="", max_length=1000)),
                (
                    "batch",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rows",
                        to="customers.importbatch",
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
            ],
            options={
                "db_table": "customers_import_row",
                "ordering": ("batch_id", "position"),
                "indexes": [
                    models.Index(fields=["batch", "outcome", "position"], name="import_rows_by_outcome"),
                    models.Index(fields=["batch", "expected", "position"], name="import_rows_by_expectation"),
                    models.Index(
                        condition=models.Q(("identity", ""), _negated=True),
                        fields=["batch", "identity"],
                        name="import_rows_by_identity",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("expected__in", ["", "made", "changed", "unchanged", "refused"]),
                            ("outcome__in", ["", "made", "changed", "unchanged", "refused"]),
                        ),
                        name="import_row_outcome_is_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("reversal", ""), ("outcome__in", ("made", "changed")), _connector="OR"
                        ),
                        name="only_what_was_imported_is_reversed",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="UntoldDebit",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "environment_id",
                        "customer_id",
                        "sequence",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("customer_id", models.UUIDField()),
                ("sequence", models.BigIntegerField()),
                ("entry_id", models.UUIDField()),
                ("amount_mc", models.BigIntegerField()),
                ("source_type", models.CharField(max_length=20)),
                ("source_id", models.UUIDField()),
                ("balance_mc", models.BigIntegerField()),
                ("reserved_mc", models.BigIntegerField()),
                ("occurred_at", models.DateTimeField()),
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
                "db_table": "customers_untold_debit",
            },
        ),
        migrations.CreateModel(
            name="WebhookSlot",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "endpoint_id", "number", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "endpoint",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="customers.webhookendpoint",
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
                ("number", models.IntegerField()),
                ("claim_id", models.UUIDField(null=True)),
                ("claimed_until", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "customers_webhook_slot",
            },
        ),
        migrations.CreateModel(
            name="CustomerNote",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=customers.kernel.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("text", models.CharField(blank=True, max_length=4000)),
                ("author", models.CharField(max_length=200)),
                ("is_pinned", models.BooleanField(default=False)),
                ("created_at", models.DateTimeField()),
                ("withdrawn_at", models.DateTimeField(null=True)),
                ("withdrawn_by", models.CharField(blank=True, default="", max_length=200)),
                ("withdrawal_reason", models.CharField(blank=True, default="", max_length=1000)),
                (
                    "customer",
                    models.ForeignKey(
                        db_index=False,
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
            ],
            options={
                "db_table": "customers_customer_note",
                "ordering": ("-id",),
                "indexes": [
                    models.Index(fields=["environment", "id"], name="notes_newest_first"),
                    models.Index(fields=["customer", "created_at", "id"], name="notes_of_a_customer"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("withdrawn_at__isnull", True), models.Q(("text", ""), _negated=True)),
                            models.Q(("is_pinned", False), ("text", ""), ("withdrawn_at__isnull", False)),
                            _connector="OR",
                        ),
                        name="a_note_says_something_until_it_is_withdrawn",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("withdrawn_at__isnull", True),
                            models.Q(("withdrawn_by", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="somebody_withdraws_a_note",
                    ),
                ],
            },
        ),
    ]

    operations = [CreateModels(*operations)]
