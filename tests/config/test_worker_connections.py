"""What a worker's connection to the database goes through around a task."""

from __future__ import annotations

from celery.signals import task_postrun, task_prerun
from django.db import connection

from config.celery import app
from customers.kernel.database import current_environment_id, environment_use


def test_a_task_leaves_the_connection_open_and_without_an_environment(acme):
    task_prerun.send(sender=app)
    environment_use(acme.test.id)
    before = connection.connection

    task_postrun.send(sender=app)

    assert connection.connection is before
    assert current_environment_id() is None


def test_a_connection_that_broke_is_opened_anew_for_the_next_task(acme, superuser_sql):
    environment_use(acme.test.id)
    broken = connection.connection
    superuser_sql.execute("SELECT pg_terminate_backend(%s)", [broken.info.backend_pid])
    connection.errors_occurred = True

    task_prerun.send(sender=app)

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert connection.connection is not broken


def test_celery_is_told_to_keep_connections():
    assert app.conf.get("CELERY_DB_REUSE_MAX") == 2**31
