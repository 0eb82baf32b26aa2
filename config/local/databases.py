"""The databases and the two logins on a PostgreSQL of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from config.local.paths import Home
from config.local.postgres import Postgres
from customers.management.database_roles import roles_prepare

APP_LOGIN = "purser"
OWNER_LOGIN = "purser_migrator"


def database_make(*, postgres: Postgres, name: str) -> None:
    """Makes logins and database unless they are there, brings the roles up to date, drops nothing."""
    with psycopg.connect(postgres.superuser_url(), autocommit=True) as connection:
        for login in (APP_LOGIN, OWNER_LOGIN):
            _login_make(connection, login, _password(postgres.home, login))
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    _database_hand_over(postgres.superuser_url(name), name)


def database_copy(*, superuser_url: str, name: str, template: str) -> None:
    """A copy of a database nobody is connected to; its rights are not copied, so they are given again."""
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    with psycopg.connect(at_database(superuser_url, "postgres"), autocommit=True) as connection:
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    _database_hand_over(at_database(superuser_url, name), name)


def database_urls(*, postgres: Postgres, name: str) -> Mapping[str, str]:
    return {
        variable: postgres.url(login=login, password=_password(postgres.home, login), database=name)
        for variable, login in (("DATABASE_URL", APP_LOGIN), ("DATABASE_OWNER_URL", OWNER_LOGIN))
    }


def at_database(url: str, name: str) -> str:
    """The same server and login, another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def _database_hand_over(superuser_url: str, name: str) -> None:
    with psycopg.connect(superuser_url) as connection:
        roles_prepare(connection=connection, app_login=APP_LOGIN, owner_login=OWNER_LOGIN)
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO purser_owner").format(sql.Identifier(name)))


def _login_make(connection: psycopg.Connection[Any], login: str, password: str) -> None:
    there = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (login,)).fetchone() is not None
    # Such a statement takes no parameters, so the password is quoted into it.
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN NOINHERIT PASSWORD {}").format(
            sql.SQL("ALTER" if there else "CREATE"), sql.Identifier(login), sql.Literal(password)
        )
    )


def _password(home: Home, login: str) -> str:
    return home.secret(f"{login}.password")
