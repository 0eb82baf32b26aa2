"""Many customers billed by one bulk run, beside a tenth as many: what an invoice costs must not depend on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from benchmarks.instance import Instance, settle
from benchmarks.renewals import one_of_many
from benchmarks.rounds import Alternative
from benchmarks.standby import Standby

#: The issue's figure is 10,000; making so many takes minutes.
_MANY: Final = int(os.environ.get("PURSER_BENCH_INVOICES", "1000"))


@contextmanager
def invoices(instance: Instance) -> Iterator[Mapping[str, Alternative]]:
    """One process, as the worker runs the job."""
    environment = {**instance.environment, "DJANGO_SETTINGS_MODULE": "config.settings"}
    arguments = (str(instance.facts["environment"]), str(_MANY), str(_MANY // 10))
    with Standby("benchmarks.invoicing", *arguments, environment=environment) as biller:
        biller.heard()
        settle(instance.superuser_url)
        yield {name: partial(one_of_many, biller, name) for name in ("many", "few")}
