"""The admin's pages over a ledger that has grown: a person waits for none of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from benchmarks.instance import Instance, settle
from benchmarks.rounds import Alternative, Sample
from benchmarks.standby import Standby

#: `BENCH_CROWD=3000000` is the aim's size: a million ledger entries, which takes some minutes to make.
_EVENTS: Final = int(os.environ.get("BENCH_CROWD", "60000"))
_LOOKS: Final = 40
PAGES: Final = (
    "home",
    "customers",
    "customers, searched",
    "ledger",
    "ledger of the busy one",
    "blocks",
    "usage events",
    "webhook events",
    "audit",
    "search",
    "page of the busy one",
    "its timeline",
)


@contextmanager
def pages(instance: Instance) -> Iterator[Mapping[str, Alternative]]:
    """One process, as one thread of the web would serve them."""
    environment = {
        **instance.environment,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "STATIC_ROOT": str(instance.home.root / "static"),
        "LOG_LEVEL": "ERROR",
    }
    arguments = (str(instance.facts["environment"]), str(_EVENTS), str(_LOOKS))
    with Standby("benchmarks.looking", *arguments, environment=environment) as visitor:
        visitor.heard()
        settle(instance.superuser_url)
        yield {name: partial(_sample, visitor, name) for name in PAGES}


def _sample(visitor: Standby, name: str) -> Sample:
    found = visitor.ask(name)
    return Sample(server_us=found["cpu_us"], p50_ms=found["p50"], p95_ms=found["p95"], errors=found["errors"])
