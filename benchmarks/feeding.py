"""The task `metering.usage_intake`, run on message after message as a worker runs it.

`python -m benchmarks.feeding ENVIRONMENT`; for each number it reads on a line of its input it records so many events.
"""

from __future__ import annotations

import json
import logging
import random
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any, Final
from uuid import uuid4

import config.wsgi  # noqa: F401 - sets Django up
from benchmarks.requests import ACCOUNTS
from metering.tasks import usage_intake_run

_MESSAGE: Final = 500


def main() -> None:
    environment_id = sys.argv[1]
    # Logs go where the answers go, and what is refused is counted.
    logging.disable(logging.WARNING)
    print("true", flush=True)
    for line in sys.stdin:
        print(json.dumps(_fed(environment_id, int(line))), flush=True)


def _fed(environment_id: str, events: int) -> dict[str, Any]:
    began, busy, rejected = time.monotonic(), time.process_time(), 0
    for message in _messages(events):
        # Through Celery's own tracing, as a worker does it, but without a broker between.
        answer: dict[str, int] = usage_intake_run.apply((environment_id, message)).get()
        rejected += answer["rejected"]
    return {
        "seconds": time.monotonic() - began,
        "cpu_seconds": time.process_time() - busy,
        "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "rejected": rejected,
    }


def _messages(events: int) -> Iterator[str]:
    run, draw = uuid4().hex, random.Random(events)
    for first in range(0, events, _MESSAGE):
        yield json.dumps(
            [
                {
                    "external_customer_id": f"bench_{draw.randrange(ACCOUNTS):05}",
                    "billable_metric_key": "bench_call",
                    "units": 1,
                    "idempotency_key": f"{run}{number}",
                }
                for number in range(first, min(first + _MESSAGE, events))
            ]
        )


if __name__ == "__main__":
    main()
