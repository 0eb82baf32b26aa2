"""`manage.py roles`: make the five roles, or put them back in order."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from config.roles import ROLES, roles_seed


class Command(BaseCommand):
    help = "Make the roles viewer, support, operator, finance and owner, each with exactly its permissions."

    def handle(self, *args: Any, **options: Any) -> None:
        roles_seed()
        self.stdout.write(f"Roles: {', '.join(ROLES)}.")
