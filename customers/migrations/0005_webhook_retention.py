from django.db import migrations

from customers.kernel.sql_files import frozen_sql

_PRIVILEGES = """
GRANT DELETE ON customers_outbox_event, customers_webhook_delivery, customers_webhook_attempt TO purser_kernel;
GRANT UPDATE ON customers_outbox_event TO purser_kernel;
"""


class Migration(migrations.Migration):
    dependencies = [("customers", "0004_webhooks")]

    operations = [
        migrations.RunSQL(_PRIVILEGES, migrations.RunSQL.noop),
        frozen_sql(__file__),
    ]
