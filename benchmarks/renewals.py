"""Many subscriptions due at one instant, beside a tenth as many: what a renewal costs must not depend on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from benchmarks.instance import Instance, settle
from benchmarks.rounds import Alternative, Sample
from benchmarks.standby import Standby

#: The issue's figure is 10,000; making so many takes minutes.
_MANY: Final = int(os.environ.get("PURSER_BENCH_RENEWALS", "1000"))


@contextmanager
def renewals(instance: Instance) -> Iterator[Mapping[str, Alternative]]:
    """One scheduler process, as the worker runs it."""
    environment = {**instance.environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    arguments = (str(instance.facts["environment"]), str(_MANY), str(_MANY // 10))
    with Standby("benchmarks.renewing", *arguments, environment=environment) as scheduler:
        scheduler.heard()
        settle(instance.superuser_url)
        yield {name: partial(one_of_many, scheduler, name) for name in ("many", "few")}


def one_of_many(scheduler: Standby, name: str) -> Sample:
    """What one took of those that were done together."""
    found = scheduler.ask(name)
    count = found["count"]
    # PostgreSQL's time is not told: it has also advanced the other group, which is not counted.
    return Sample(
        per_second=count / found["seconds"],
        server_us=found["cpu_seconds"] * 1e6 / count,
        peak_mib=found["peak_kib"] / 1024,
    )
