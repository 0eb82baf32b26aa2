"""`manage.py demo`: a believable tenant, and its keys as JSON."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction

from config.demo.build import SIZES, TENANT, Size, environment_fill
from config.demo.crowd import NOBODY
from config.demo.people import CUSTOMERS
from config.roles import roles_seed
from customers.kernel.clock import elapsed_seconds, system_now
from customers.models import Environment, Tenant, User
from customers.services.tenants import tenant_create

#: The live environment is smaller: the first look is at the test one.
_LIVE_PEOPLE = CUSTOMERS[:10] + CUSTOMERS[23:27]


class Command(BaseCommand):
    help = "Make a demo tenant with customers, prices and a month of usage; print its keys and an admin login as JSON."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--if-empty", action="store_true", help="do nothing when there is a tenant already"
        )
        parser.add_argument(
            "--credentials", type=Path, help="a private file for what is printed, read on later runs"
        )
        parser.add_argument("--size", choices=SIZES, default="small")
        parser.add_argument("--json", action="store_true", help="kept for clarity: the output is always JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["if_empty"] and Tenant.objects.exists():
            self.stdout.write(_known(options["credentials"]))
            return
        began, size = elapsed_seconds(), SIZES[options["size"]]
        with transaction.atomic():
            made = _tenant()
            if options["credentials"] and "test_key" in made:
                _keep(options["credentials"], made)
        with _quick_commits():
            events = self._fill(size)
        seconds = elapsed_seconds() - began
        self.stderr.write(f"{events:,} usage events in {seconds:.1f} s.")
        self.stdout.write(json.dumps(made))

    def _fill(self, size: Size) -> int:
        events = 0
        for environment in Environment.objects.filter(tenant__name=TENANT).order_by("-kind"):
            is_test = environment.kind == "test"
            events += environment_fill(
                environment=environment,
                rounds=size.test_rounds if is_test else size.live_rounds,
                busyness=size.busyness,
                people=CUSTOMERS if is_test else _LIVE_PEOPLE,
                crowd=size.crowd if is_test else NOBODY,
                progress=self._progress,
            )
        return events

    def _progress(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"  {text}")


@contextmanager
def _quick_commits() -> Iterator[None]:
    """A crash may lose the demo's last moments. One big transaction is slower: each event rewrites its account."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO off")
        yield
        cursor.execute("RESET synchronous_commit")


def _tenant() -> dict[str, str]:
    """The tenant and a login. Secrets are only in the answer that makes them."""
    roles_seed()
    login = _login()
    existing = Tenant.objects.filter(name=TENANT).first()
    if existing is not None:
        return {"tenant": TENANT, **login}
    made = tenant_create(actor="system:demo", name=TENANT, now=system_now())
    return {
        "tenant": TENANT,
        "test_key": made.test_key.secret,
        "live_key": made.live_key.secret,
        "test_environment": str(made.test.id),
        "live_environment": str(made.live.id),
        **login,
    }


def _login() -> dict[str, str]:
    if User.objects.filter(username="admin").exists():
        return {"admin_user": "admin"}
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser("admin", email="admin@northwind.example", password=password)
    return {"admin_user": "admin", "admin_password": password}


def _keep(path: Path, made: dict[str, str]) -> None:
    """Written before the commit, readable for its owner alone: what is committed can always be logged in to."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(made))


def _known(path: Path | None) -> str:
    if path is not None and path.exists():
        return path.read_text()
    tenant = Tenant.objects.order_by("created_at").first()
    return json.dumps({"tenant": tenant.name if tenant else ""})
