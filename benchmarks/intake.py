"""A process that records event after event out of a queue: what memory it has after a tenth, and at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from benchmarks.instance import Instance
from benchmarks.rounds import Alternative, Sample
from benchmarks.standby import Standby

#: The issue's figure is a million; that takes minutes.
EVENTS: Final = int(os.environ.get("BENCH_INTAKE", "100000"))


@contextmanager
def intake(instance: Instance) -> Iterator[Mapping[str, Alternative]]:
    """Measured once: a second round would only find a process that has been through it already."""
    environment = str(instance.facts["environment"])
    with Standby("benchmarks.feeding", environment, environment=instance.environment) as worker:
        worker.heard()
        first = _sample(worker, EVENTS // 10)
        rest = _sample(worker, EVENTS - EVENTS // 10)
    yield {"the first tenth": lambda: first, "the rest": lambda: rest}


def _sample(worker: Standby, events: int) -> Sample:
    found = worker.ask(events)
    return Sample(
        per_second=events / found["seconds"],
        server_us=found["cpu_seconds"] / events * 1e6,
        peak_mib=found["peak_kib"] / 1024,
        errors=found["rejected"],
    )
