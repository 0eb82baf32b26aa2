"""Moves an environment's clock, as a test clock does, without what falls due meanwhile being done."""

from __future__ import annotations

import os
from datetime import datetime

import psycopg

from customers.kernel.memory import forget_environment
from tests.conftest import World


def clock_set(world: World, instant: datetime | None) -> None:
    """From now on it is `instant` in this environment, for every process; None gives the system's time back."""
    with psycopg.connect(os.environ["TEST_SUPERUSER_URL"], autocommit=True) as raw:
        raw.execute(
            "UPDATE customers_environment SET frozen_at = %s, config_version = config_version + 1 WHERE id = %s",
            (instant, world.id),
        )
    forget_environment(world.id)
