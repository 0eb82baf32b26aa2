"""The Celery app: `celery -A config.celery worker`, `celery -A config.celery beat`.

The broker is a doorbell, not a ledger: every task finds its work in the database, may run twice, and may run
concurrently with itself.
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun, task_prerun

from config.beat import SCHEDULE
from customers.kernel.database import connection_tidy, environment_clear

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
    # Celery would close the connection to the database after every task, and the next task begin with nothing planned.
    # What is below does what Django does around a request.
    CELERY_DB_REUSE_MAX=2**31,
    broker_connection_retry_on_startup=True,
    # A web request that rings the doorbell must not wait for a broker that is away: a sweep finds the work.
    broker_transport_options={"socket_timeout": 5, "socket_connect_timeout": 2},
)
app.autodiscover_tasks()


@task_prerun.connect
def _connection_tidy(**_told: Any) -> None:
    connection_tidy()


@task_postrun.connect
def _environment_clear(**_told: Any) -> None:
    environment_clear()
