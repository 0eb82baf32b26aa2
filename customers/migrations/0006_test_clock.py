from __future__ import annotations

from django.db import migrations

from customers.kernel.sql_files import frozen_sql


class Migration(migrations.Migration):
    dependencies = [("customers", "0005_webhook_retention")]

    operations = [frozen_sql(__file__)]
