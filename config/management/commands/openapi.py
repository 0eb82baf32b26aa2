"""`manage.py openapi`: write docs/openapi.json from the code; `--check`: fail when the two differ."""

from __future__ import annotations

import difflib
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.openapi import openapi_bytes

_SHOWN_LINES: Final = 60


class Command(BaseCommand):
    help = "Write docs/openapi.json, or check that it is what the code says."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check", action="store_true", help="write nothing; fail when the file is not up to date"
        )

    def handle(self, *_args: Any, check: bool, **_options: Any) -> None:
        path = settings.BASE_DIR / "docs" / "openapi.json"
        fresh = openapi_bytes().decode()
        present = path.read_text() if path.exists() else ""
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(fresh)
            self.stdout.write(f"{path.relative_to(settings.BASE_DIR)} is written.")
        elif fresh != present:
            difference = difflib.unified_diff(
                present.splitlines(), fresh.splitlines(), "docs/openapi.json", "the code", ""
            )
            self.stdout.write("\n".join(list(difference)[:_SHOWN_LINES]))
            raise CommandError("docs/openapi.json is not what the code says: run `manage.py openapi`.")
