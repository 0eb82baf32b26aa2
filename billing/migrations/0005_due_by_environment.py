from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_topups"),
        ("customers", "0006_test_clock"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="creditaccount",
            index=models.Index(
                condition=models.Q(("next_change_at__isnull", False)),
                fields=["environment", "next_change_at"],
                name="accounts_by_what_is_due_next",
            ),
        ),
    ]
