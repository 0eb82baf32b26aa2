#!/usr/bin/env python
"""Django's commands, on the instance `make run` has running unless the environment names a database."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line
from django.db import OperationalError

from config.local.instance import instance_is_running, instance_load

# They change or read the schema and so are its owner; every other command is the application.
_OWNER_COMMANDS = {
    "database_prepare",
    "event_partitions",
    "lintmigrations",
    "makemigrations",
    "migrate",
    "showmigrations",
    "sqlmigrate",
    "squashmigrations",
}


def main() -> None:
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("PURSER_DATABASE_ROLE", "owner" if command in _OWNER_COMMANDS else "app")
    from_instance = instance_load()
    try:
        execute_from_command_line(sys.argv)
    except OperationalError as error:
        if from_instance and not instance_is_running():
            sys.exit(f"Purser is not running. Start it with `make run`, then try again.\n({error})")
        raise


if __name__ == "__main__":
    main()
