"""Who is always there: `acme`, our tenant; `rival`, another one; `operator`, who works in the admin.

Tests run against a migrated PostgreSQL and a Valkey of this run (tests/servers.py) and commit what they write, as the
product does: each makes tenants of its own, so nobody meets anybody else's rows.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, override_settings

from customers.kernel.caller import Caller
from customers.kernel.clock import system_now
from customers.kernel.database import environment_clear, environment_scope
from customers.models import Environment, Tenant, User
from customers.services.tenants import tenant_create
from tests.promises import broken_promises

#: Where stories emit events of their own invention.
_MADE_UP = {"customers", "faults", "test_webhooks.py"}


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database is there and migrated: see tests/servers.py."""


@pytest.fixture(scope="session", autouse=True)
def _open_database(django_db_blocker: Any) -> Iterator[None]:
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    # Nobody has collected the static files here, so their names have no hashes.
    # A slow hash is for guessers; every operator made here would pay for it.
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    storages = settings.STORAGES | {"staticfiles": plain}
    with override_settings(STORAGES=storages, PASSWORD_HASHERS=hashers), django_db_blocker.unblock():
        yield


@pytest.fixture(autouse=True)
def _no_environment_left_behind() -> Iterator[None]:
    yield
    environment_clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One environment as a caller has it."""

    environment: Environment
    secret: str
    key_id: UUID
    caller: Caller

    @property
    def id(self) -> UUID:
        return self.environment.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """A tenant with both its worlds."""

    tenant: Tenant
    live: World
    test: World


def make_character(name: str) -> Character:
    made = tenant_create(actor="system:tests", name=f"{name} {uuid4().hex}", now=system_now())
    worlds = {
        kind: World(
            environment=environment,
            secret=issued.secret,
            key_id=issued.key.id,
            caller=Caller(
                environment_id=environment.id,
                actor=f"key:{issued.key.public_id}",
                request_id="req_test",
                address="127.0.0.1",
            ),
        )
        for kind, environment, issued in (
            ("live", made.live, made.live_key),
            ("test", made.test, made.test_key),
        )
    }
    return Character(tenant=made.tenant, **worlds)


@pytest.fixture
def acme(request: pytest.FixtureRequest) -> Iterator[Character]:
    """Our tenant. What their story told the world must be what the catalogue of webhooks promises."""
    character = make_character("Acme")
    yield character
    if not _MADE_UP.intersection(request.path.parts):
        assert broken_promises(character.live, character.test) == []


@pytest.fixture
def rival() -> Character:
    """Another tenant on the same installation, who must never see anything of ours."""
    return make_character("Rival")


@pytest.fixture
def inside_acme(acme: Character) -> Iterator[Character]:
    """Our tenant, with the rows of its test environment visible to this test's own queries."""
    with environment_scope(acme.test.id):
        yield acme


class Api:
    """Calls the API as a tenant's backend does: JSON in, JSON out."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.client = Client(raise_request_exception=False)

    def get(self, path: str, **options: Any) -> Answer:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.send("POST", path, body, **options)

    def patch(self, path: str, body: Any = None, **options: Any) -> Answer:
        return self.send("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Answer:
        return self.send("DELETE", path, **options)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        bearer: str | None = None,
        idempotency_key: str | None = None,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """`body` is sent as it is when it is bytes; `key=""` sends no API key."""
        sent = dict(headers or {})
        secret = self.secret if key is None and bearer is None else key
        if secret:
            sent["X-API-Key"] = secret
        if bearer is not None:
            sent["Authorization"] = f"Bearer {bearer}"
        if idempotency_key is not None:
            sent["Idempotency-Key"] = idempotency_key
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        response = self.client.generic(
            method,
            path,
            data,
            content_type=content_type if data else "application/octet-stream",
            headers=sent,
        )
        return Answer(response)


class Answer:
    """A response; `answer["id"]` is a member of its JSON body."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status = response.status_code
        self.headers = response.headers
        self.bytes = response.content

    @property
    def json(self) -> Any:
        return json.loads(self.bytes)

    def __getitem__(self, member: str) -> Any:
        return self.json[member]

    def refusal(self) -> tuple[int, str]:
        """Status and code of a problem document, which this must be."""
        assert self.headers["Content-Type"] == "application/problem+json", self.bytes
        problem = self.json
        assert problem["status"] == self.status
        return self.status, problem["code"]

    def __repr__(self) -> str:
        return f"<{self.status} {self.bytes[:500]!r}>"


@pytest.fixture
def api(acme: Character) -> Api:
    """Acme's backend, with its test key."""
    return Api(acme.test.secret)


@pytest.fixture
def operator() -> User:
    """Somebody who may do everything in the admin."""
    return User.objects.create_user(
        username=f"operator-{uuid4().hex[:12]}",
        email="operator@example.test",
        password="correct horse battery staple",
        is_staff=True,
        is_superuser=True,
    )


@pytest.fixture
def superuser_sql() -> Iterator[psycopg.Connection[Any]]:
    """To tamper with the database as nobody can in production."""
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as raw:
        yield raw


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """`together(n, deed)`: runs `deed(index)` in n threads that start at the same moment; their results in order."""
    return run_together


def run_together(count: int, deed: Callable[[int], Any]) -> list[Any]:
    barrier = Barrier(count)
    results: list[Any] = [None] * count

    def run(index: int) -> None:
        try:
            barrier.wait()
            results[index] = deed(index)
        except BaseException as error:
            results[index] = error
        finally:
            connection.close()

    threads = [Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results
