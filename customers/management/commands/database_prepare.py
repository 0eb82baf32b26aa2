"""`manage.py database_prepare`: the roles Purser works with, on a server that `make run` did not start."""

from __future__ import annotations

import os
from typing import Any

import environ
import psycopg
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from customers.management.database_roles import RolesRefusedError, roles_prepare


class Command(BaseCommand):
    help = "Create the database roles Purser works with and give them to its logins. Safe to run again."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        database = settings.DATABASES["default"]
        try:
            with psycopg.connect(**_parameters(database)) as connection:
                owner_login = connection.info.user
                app_login = _app_login(default=owner_login)
                roles_prepare(connection=connection, app_login=app_login, owner_login=owner_login)
        except psycopg.OperationalError as error:
            raise CommandError(f"Cannot reach the database: {error}") from error
        except RolesRefusedError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"The database is ready: {app_login} is purser_app, {owner_login} is purser_owner.")


def _parameters(database: dict[str, Any]) -> dict[str, Any]:
    """How Django would connect, except for the role, which may not exist yet."""
    named = {
        "dbname": database["NAME"],
        "user": database["USER"],
        "password": database["PASSWORD"],
        "host": database["HOST"],
        "port": database["PORT"],
    }
    options = {key: value for key, value in database.get("OPTIONS", {}).items() if key != "options"}
    return {key: value for key, value in named.items() if value} | options | {"connect_timeout": 10}


def _app_login(*, default: str) -> str:
    if "DATABASE_URL" not in os.environ:
        return default
    return str(environ.Env().db_url("DATABASE_URL").get("USER") or default)
