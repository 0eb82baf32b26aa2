"""Many subscriptions due at one instant, beside a tenth as many: what a renewal costs must not depend on it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

from benchmarks.instance import Instance, module, settle
from benchmarks.rounds import Alternative, Sample
from config.local.paths import REPOSITORY

#: The issue's figure is 10,000; making so many takes minutes.
_MANY: Final = int(os.environ.get("PURSER_BENCH_RENEWALS", "1000"))


@contextmanager
def renewals(instance: Instance) -> Iterator[Mapping[str, Alternative]]:
    """One scheduler process, as the worker runs it."""
    arguments = (str(instance.facts["environment"]), str(_MANY), str(_MANY // 10))
    process = subprocess.Popen(
        module("benchmarks.renewing", *arguments),
        cwd=REPOSITORY,
        env={**instance.environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        answer(process)
        settle(instance.superuser_url)
        yield {name: partial(_sample, process, name) for name in ("many", "few")}
    finally:
        process.terminate()
        process.wait()


def _sample(process: subprocess.Popen[str], name: str) -> Sample:
    assert process.stdin is not None
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    found = answer(process)
    count = found["count"]
    # PostgreSQL's time is not told: it has also advanced the other group, which is not counted.
    return Sample(
        per_second=count / found["seconds"],
        server_us=found["cpu_seconds"] * 1e6 / count,
    )


def answer(process: subprocess.Popen[str]) -> Any:
    """The next line that a process of ours says, as JSON."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("the process ended")
    return json.loads(line)
