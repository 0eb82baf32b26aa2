"""The Celery app: `celery -A config.celery worker`, `celery -A config.celery beat`.

The broker is a doorbell, not a ledger: every task finds its work in the database, may run twice, and may run
concurrently with itself.
"""

from __future__ import annotations

import os

from celery import Celery

from config.beat import SCHEDULE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("purser")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    beat_schedule=SCHEDULE,
    timezone="UTC",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    task_create_missing_queues=True,
    # They wait for other people's servers, so they have a queue and a worker of their own.
    task_routes={"customers.webhooks_*": {"queue": "webhooks"}},
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    # A web request that rings the doorbell must not wait for a broker that is away: a sweep finds the work.
    broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 2},
)
app.autodiscover_tasks()
