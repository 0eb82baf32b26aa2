"""The functions in the migrated database, and those that migrations run, are those in the files one reads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

ROOT = Path(settings.BASE_DIR)
FILES = sorted(
    path
    for path in ROOT.glob("*/*/*.sql")
    if path.name != "roles.sql" and path.parts[-3] in {"billing", "customers", "metering", "subscriptions"}
)
#: The server's version decides which of the file's two it is.
BY_VERSION = {"purser_uuid7"}
_FUNCTION = re.compile(
    r"CREATE OR REPLACE FUNCTION\s+(?P<name>\w+)\s*\(.*?AS\s+(?P<quote>\$\w*\$)(?P<body>.*?)(?P=quote)",
    re.DOTALL,
)


def functions(text: str) -> list[tuple[str, str]]:
    return [(found["name"], found["body"]) for found in _FUNCTION.finditer(text)]


def migrated() -> dict[str, set[str]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, prosrc FROM pg_proc p WHERE pronamespace = 'public'::regnamespace AND NOT EXISTS "
            "(SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')"
        )
        found: dict[str, set[str]] = {}
        for name, source in cursor.fetchall():
            found.setdefault(name, set()).add(source)
        return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_database_has_what_the_file_says(path):
    present = migrated()
    said: dict[str, set[str]] = {}
    for name, body in functions(path.read_text()):
        said.setdefault(name, set()).add(body)
    for name, bodies in said.items():
        missing = bodies - present.get(name, set())
        assert len(missing) == (name in BY_VERSION), f"{name} of {path.name} is not what the migrations made"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_newest_frozen_copy_says_what_the_file_says(path):
    """Grants and comments too, which the database does not tell."""
    app, folder, name = path.relative_to(ROOT).parts
    copies = sorted((ROOT / app / "migrations/sql").glob(f"*/{folder}/{name}"))

    assert copies, f"no migration runs {folder}/{name}"
    assert copies[-1].read_text() == path.read_text(), (
        f"{copies[-1].relative_to(ROOT)} is not the present text"
    )


def test_the_files_say_everything_the_database_has():
    in_files = {name for path in FILES for name, _ in functions(path.read_text())}

    assert in_files, "no function was found in any file"
    assert migrated().keys() - in_files == set()
