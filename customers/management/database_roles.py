"""Prepares a database for Purser: the roles of `customers/sql/roles.sql`, given to the two logins.

Plain psycopg, since it runs before Django can connect in any role.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

ROLES_SQL = Path(__file__).resolve().parents[1] / "sql" / "roles.sql"
# Two instances of one server may prepare at once; roles belong to the whole server.
_LOCK = "SELECT pg_advisory_xact_lock(7226171)"


class RolesRefusedError(Exception):
    """The login may not prepare the database, and nobody else has."""


def roles_prepare(*, connection: psycopg.Connection[Any], app_login: str, owner_login: str) -> None:
    """Runs the roles' SQL and makes the logins members; harmless when done before."""
    try:
        with connection.transaction():
            connection.execute(_LOCK)
            connection.execute(ROLES_SQL.read_bytes())
            _grant_to(connection, role="purser_app", login=app_login)
            _grant_to(connection, role="purser_owner", login=owner_login)
    except psycopg.errors.InsufficientPrivilege as refusal:
        if not _is_ready(connection, app_login=app_login, owner_login=owner_login):
            raise RolesRefusedError(_advice(refusal, app_login, owner_login)) from refusal


def _grant_to(connection: psycopg.Connection[Any], *, role: str, login: str) -> None:
    # Said to the login itself: one that does not inherit may otherwise not even come in.
    statement = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
    connection.execute(statement.format(sql.Identifier(connection.info.dbname), sql.Identifier(login)))
    if not _is_member(connection, role=role, login=login):
        connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login)))


def _is_member(connection: psycopg.Connection[Any], *, role: str, login: str) -> bool:
    # From PostgreSQL 16 a member may still lack SET, which is what the connection's `role` option needs.
    right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    row = connection.execute("SELECT pg_has_role(%s, %s, %s)", (login, role, right)).fetchone()
    return bool(row and row[0])


def _is_ready(connection: psycopg.Connection[Any], *, app_login: str, owner_login: str) -> bool:
    row = connection.execute(
        "SELECT count(*) = 3 FROM pg_roles WHERE rolname IN ('purser_owner', 'purser_kernel', 'purser_app')"
    ).fetchone()
    return bool(
        row
        and row[0]
        and _is_member(connection, role="purser_app", login=app_login)
        and _is_member(connection, role="purser_owner", login=owner_login)
    )


def _advice(refusal: psycopg.Error, app_login: str, owner_login: str) -> str:
    reason = refusal.diag.message_primary or str(refusal)
    return (
        f"The login may not prepare this database ({reason}).\n"
        "Let an administrator of the server run, in Purser's database:\n\n"
        "    psql -f customers/sql/roles.sql\n"
        f'    GRANT purser_app TO "{app_login}";\n'
        f'    GRANT purser_owner TO "{owner_login}";\n\n'
        "or set DATABASE_OWNER_URL to a login with CREATEROLE that owns the database."
    )
