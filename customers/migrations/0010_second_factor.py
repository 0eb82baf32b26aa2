from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("customers", "0009_billing_details"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="has_second_factor",
            field=models.BooleanField(default=False),
        ),
    ]
