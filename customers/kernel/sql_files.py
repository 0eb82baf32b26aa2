"""For migrations: SQL functions kept in files.

The readable, present text of every function is `<app>/<folder>/*.sql`. A migration runs a frozen copy from
`<app>/migrations/sql/<migration>/<folder>/`, so that what an old migration does never changes; tests check that the
migrated database and the newest copies equal the present files.
"""

from __future__ import annotations

from pathlib import Path

from django.db import migrations


def frozen_sql(migration_file: str, *folders: str) -> migrations.RunSQL:
    """A migration's frozen files (pass its `__file__`), folder by folder, each in order of name."""
    migration = Path(migration_file)
    frozen = migration.parent / "sql" / migration.stem
    paths = [path for folder in folders for path in sorted((frozen / folder).glob("*.sql"))]
    return migrations.RunSQL(["\n".join(path.read_text() for path in paths)], migrations.RunSQL.noop)
