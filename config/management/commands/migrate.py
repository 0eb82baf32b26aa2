"""`manage.py migrate`, which says in words when the database was made by another schema than this code's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import connections
from django.db.migrations.loader import MigrationLoader

_ADVICE = """this database has migrations that this code does not know:
  {unknown}
A later version of Purser made it, or one from before the first release, whose migrations were still rewritten.
Go on with that version, or begin with an empty database: with `make run`, take another data directory
(make run PURSER_HOME=.purser-two), or remove {home} if you need nothing in it."""
_NAMED = 3


class Command(migrate.Command):
    def handle(self, *args: Any, **options: Any) -> None:
        unknown = _unknown_migrations(database=options["database"])
        if unknown:
            raise CommandError(_ADVICE.format(unknown=_named(unknown), home=settings.PURSER_HOME))
        super().handle(*args, **options)


def _unknown_migrations(*, database: str) -> list[str]:
    """What was applied in our own apps and is no file of theirs."""
    loader = MigrationLoader(connections[database])
    ours = {app.label for app in apps.get_app_configs() if Path(app.path).parent == settings.BASE_DIR}
    gone = (loader.applied_migrations or {}).keys() - loader.disk_migrations.keys()
    return sorted(f"{app}.{name}" for app, name in gone if app in ours)


def _named(migrations: list[str]) -> str:
    rest = len(migrations) - _NAMED
    return ", ".join(migrations[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
