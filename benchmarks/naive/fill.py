"""Tables and rows for the naive implementation: `python -m benchmarks.naive.fill SECRET`."""

from __future__ import annotations

import hashlib
import sys

from django.core.management import call_command

import benchmarks.naive.wsgi  # noqa: F401 - sets Django up
from benchmarks.naive.models import Account, ApiKey, Block, Customer, Metric, Tenant
from benchmarks.requests import ACCOUNTS


def fill(secret: str) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    tenant = Tenant.objects.create(name="Bench")
    ApiKey.objects.create(tenant=tenant, secret_sha256=hashlib.sha256(secret.encode()).hexdigest())
    Metric.objects.create(tenant=tenant, key="bench_call", price=1)
    customers = [Customer(tenant=tenant, external_id=f"bench_{number:05}") for number in range(ACCOUNTS)]
    Customer.objects.bulk_create(customers, batch_size=1000)
    accounts = [Account(customer=customer, balance=10**9) for customer in customers]
    Account.objects.bulk_create(accounts, batch_size=1000)
    Block.objects.bulk_create(
        [Block(account=account, remaining=10**9) for account in accounts], batch_size=1000
    )


if __name__ == "__main__":
    fill(sys.argv[1])
