"""The roll-up of usage, until it lacks nothing."""

from __future__ import annotations

import os
from time import sleep

import psycopg
import pytest

from metering.services.usage_rollups import usage_roll

_LEFT = """
SELECT 1 FROM metering_usage_watermark w WHERE EXISTS (
  SELECT FROM metering_usage_event e
  WHERE e.recorded_xid >= w.recorded_before AND (w.stored_before IS NULL OR e.created_at >= w.stored_before)
) OR EXISTS (
  SELECT FROM metering_event_void v
  WHERE v.recorded_xid >= w.recorded_before AND (w.stored_before IS NULL OR v.created_at >= w.stored_before)
)
"""


def roll() -> None:
    """Roll up until nothing is left: transactions of the other tests' databases hold ours back for a moment, too."""
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as raw:
        for _ in range(500):
            usage_roll()
            if raw.execute(_LEFT).fetchone() is None:
                return
            sleep(0.02)
    pytest.fail("the roll-up does not come to an end")
