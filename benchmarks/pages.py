"""The admin's pages over a ledger that has grown: a person waits for none of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Final

from benchmarks.instance import Instance, module, settle
from benchmarks.renewals import answer
from benchmarks.rounds import Alternative, Sample
from config.local.paths import REPOSITORY

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
    process = subprocess.Popen(
        module("benchmarks.looking", str(instance.facts["environment"]), str(_EVENTS), str(_LOOKS)),
        cwd=REPOSITORY,
        env={
            **instance.environment,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "STATIC_ROOT": str(instance.home.root / "static"),
            "LOG_LEVEL": "ERROR",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer(process)
        settle(instance.superuser_url)
        yield {name: partial(_sample, process, name) for name in PAGES}
    finally:
        process.terminate()
        process.wait()


def _sample(process: subprocess.Popen[str], name: str) -> Sample:
    assert process.stdin is not None
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    found = answer(process)
    return Sample(server_us=found["cpu_us"], p50_ms=found["p50"], p95_ms=found["p95"], errors=found["errors"])
