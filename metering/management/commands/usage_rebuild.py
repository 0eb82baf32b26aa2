from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from metering.services.usage_rollups import usage_rebuild


class Command(BaseCommand):
    """After a backup was restored, before anything writes (docs/decisions/rollup-watermark.md)."""

    help = "Add up usage by the hour anew, from all events. Stop web and workers first."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{usage_rebuild()} events added up.")
