"""The admin as a person at a desk uses it: one login, one environment in view."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from config.roles import roles_seed
from customers.kernel import database
from customers.models import User
from tests.conftest import World

_TOKEN = re.compile(r'name="token" value="([^"]+)"')


class Desk:
    """`open` answers a page; `token` is what a shown form carries; `send` posts it."""

    def __init__(self, user: User, world: World) -> None:
        self.client = Client()
        self.client.force_login(user)
        self.user = user
        self.look_at(world)

    def look_at(self, world: World) -> None:
        answer = self.client.post("/admin/environment/", {"environment": str(world.id)})
        assert answer.status_code == 302

    def open(self, path: str, *, status: int = 200) -> str:
        answer = self.client.get(path)
        assert answer.status_code == status, (answer.status_code, path)
        return answer.content.decode()

    def token(self, path: str) -> str:
        found = _TOKEN.search(self.open(path))
        assert found is not None
        return found[1]

    def send(self, path: str, data: dict[str, Any], *, token: str | None = None, **more: Any) -> Any:
        sent = {**data, "token": self.token(path) if token is None else token}
        return self.client.post(path, sent, **more)

    def preview(self, path: str, data: dict[str, Any]) -> str:
        answer = self.client.post(path, {**data, "preview": "1"}, headers={"X-Purser-Dialog": "1"})
        assert answer.status_code == 200
        return answer.content.decode()

    def queries(self, path: str) -> int:
        """How many round trips a page takes, those around Django's cursor included."""
        with counted() as count:
            self.open(path)
        return count[0]


@contextmanager
def counted() -> Iterator[list[int]]:
    count = [0]
    plain = database._execute_once

    def counting(*args: Any, **more: Any) -> Any:
        count[0] += 1
        return plain(*args, **more)

    database._execute_once = counting
    try:
        with CaptureQueriesContext(connection) as captured:
            yield count
    finally:
        database._execute_once = plain
    count[0] += len(captured)


def somebody(role: str | None = None) -> User:
    """A new colleague in a role."""
    user = User.objects.create_user(username=f"{role or 'nobody'}-{uuid4().hex[:10]}", is_staff=True)
    if role:
        roles_seed()
        user.groups.add(Group.objects.get(name=role))
    return user
