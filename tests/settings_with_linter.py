"""The settings with the migration linter installed, which products do not carry: `make check` alone uses them."""

from config.settings import *  # noqa: F403 - settings are taken over whole
from config.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_migration_linter"]
