"""A person who looks at pages of the admin: for each name of a page it reads on a line of standard input, it opens that
page so many times and answers with a line of JSON.

`python -m benchmarks.looking ENVIRONMENT EVENTS COUNT` first gathers a crowd with so many events, a third of them
priced.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import django

django.setup()

from django.core.management import call_command  # noqa: E402 - Django's settings come first
from django.test import Client  # noqa: E402

from config.demo.crowd import BUSY, Crowd, crowd_gather  # noqa: E402
from customers.kernel.caller import Caller  # noqa: E402
from customers.kernel.clock import system_now  # noqa: E402
from customers.kernel.database import environment_scope  # noqa: E402
from customers.models import Customer, User  # noqa: E402
from metering.services.metrics import metric_create  # noqa: E402
from metering.services.rules import rule_create  # noqa: E402
from metering.services.usage_rollups import usage_roll  # noqa: E402

#: Customers of a crowd of three million events.
_CUSTOMERS: Final = 2_000
_PRICE: Final = {"cost_type": "per_unit", "unit_cost": 500}
_LISTS: Final = {
    "home": "/admin/",
    "customers": "/admin/customers/customer/",
    "customers, searched": "/admin/customers/customer/?q=crowd-0007",
    "ledger": "/admin/billing/ledgerentry/",
    "ledger of the busy one": f"/admin/billing/ledgerentry/?q={BUSY}",
    "blocks": "/admin/billing/creditblock/",
    "usage events": "/admin/metering/usageevent/",
    "webhook events": "/admin/customers/outboxevent/",
    "audit": "/admin/customers/auditrecord/",
    "search": "/admin/search/?s=crowd-0007",
}


def main() -> None:
    environment_id, events, count = UUID(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    call_command("collectstatic", "--no-input", "--verbosity", "0")
    with environment_scope(environment_id):
        _gather(environment_id, events)
        busy = Customer.objects.get(external_id=BUSY)
    usage_roll()
    pages = {
        **_LISTS,
        "page of the busy one": f"/admin/customers/customer/{busy.pk}/change/",
        "its timeline": f"/admin/customers/customer/{busy.pk}/timeline/",
    }
    client = _logged_in(environment_id)
    print(json.dumps(list(pages)), flush=True)
    for line in sys.stdin:
        print(json.dumps(_measured(client, pages[line.strip()], count)), flush=True)


def _gather(environment_id: UUID, events: int) -> None:
    caller, now = Caller(environment_id=environment_id, actor="system:bench"), system_now()
    since = now - timedelta(days=40)
    metric_create(caller=caller, key="chat_message", name="Chat message", now=since)
    rule_create(caller=caller, metric_key="chat_message", definition=_PRICE, now=since)
    crowd = Crowd(customers=max(_CUSTOMERS * events // 3_000_000, 50), events=events)
    crowd_gather(caller=caller, crowd=crowd, ends_at=now, progress=_say)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _logged_in(environment_id: UUID) -> Client:
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(User.objects.create(username="looker", is_staff=True, is_superuser=True))
    client.post("/admin/environment/", {"environment": str(environment_id)})
    return client


def _measured(client: Client, path: str, count: int) -> Mapping[str, Any]:
    times, busy, errors = [], 0.0, 0
    for _ in range(count):
        busy -= time.process_time()
        began = time.perf_counter()
        errors += client.get(path).status_code != 200
        times.append((time.perf_counter() - began) * 1000)
        busy += time.process_time()
    times.sort()
    return {
        "p50": times[count // 2],
        "p95": times[int(count * 0.95)],
        "cpu_us": busy / count * 1e6,
        "errors": errors,
    }


if __name__ == "__main__":
    main()
