from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0005_due_by_environment"),
        ("customers", "0006_test_clock"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="creditblock",
            name="one_cause_makes_one_block",
        ),
        migrations.AddConstraint(
            model_name="creditblock",
            constraint=models.UniqueConstraint(
                condition=models.Q(("source__in", ("rollover", "refund")), _negated=True),
                fields=("account", "cause_id"),
                name="one_cause_makes_one_block",
            ),
        ),
    ]
