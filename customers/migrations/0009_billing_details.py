from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0008_jobs_can_be_paused"),
    ]

    operations = [
        migrations.AddField(
            model_name="customer",
            name="billing_address",
            field=models.CharField(blank=True, max_length=1000, null=True),
        ),
        migrations.AddField(
            model_name="customer",
            name="tax_id",
            field=models.CharField(blank=True, max_length=64, null=True),
        ),
        migrations.AddField(
            model_name="customer",
            name="tax_rate",
            field=models.DecimalField(blank=True, decimal_places=4, max_digits=7, null=True),
        ),
        migrations.AddConstraint(
            model_name="customer",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("tax_rate__isnull", True),
                    models.Q(("tax_rate__gte", 0), ("tax_rate__lte", 100)),
                    _connector="OR",
                ),
                name="tax_rate_is_a_percentage",
            ),
        ),
    ]
