"""`manage.py create_tenant NAME`: a tenant with its two environments; prints a key to each, this once."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from customers.errors import DomainError
from customers.kernel.clock import system_now
from customers.services.tenants import tenant_create


class Command(BaseCommand):
    help = "Make a tenant and print its live and its test key."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")

    def handle(self, *_args: Any, name: str, **_options: Any) -> None:
        try:
            made = tenant_create(actor="system:create_tenant", name=name, now=system_now())
        except DomainError as refusal:
            details = " ".join(f"{error.field}: {error.message}" for error in refusal.errors)
            raise CommandError(f"{refusal.detail} {details}".strip()) from None
        self.stdout.write(f"live {made.live_key.secret}")
        self.stdout.write(f"test {made.test_key.secret}")
