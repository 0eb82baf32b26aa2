"""For migrations: SQL functions kept in files.

The readable, present text of every function is `<app>/<folder>/*.sql`. A migration runs a frozen copy from
`<app>/migrations/sql/<migration>/`, so that what an old migration does never changes; a test checks that the migrated
database equals the present files.
"""

from __future__ import annotations

from pathlib import Path

from django.db import migrations


def frozen_sql(migration_file: str) -> migrations.RunSQL:
    """All frozen files of a migration (pass its `__file__`), in order of name."""
    migration = Path(migration_file)
    folder = migration.parent / "sql" / migration.stem
    text = "\n".join(path.read_text() for path in sorted(folder.glob("*.sql")))
    return migrations.RunSQL([text], migrations.RunSQL.noop)
