"""Events that were stored in a past month, and the partition they lie in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings

from customers.kernel.ids import uuid7_floor
from metering.services import usage
from tests.clock import clock_set
from tests.conftest import Character

_numbers = count(1)


def stored_id(at: datetime) -> UUID:
    """An id as it is given at that instant."""
    return UUID(int=uuid7_floor(at).int | 0x7 << 76 | 0x2 << 62 | next(_numbers))


@contextmanager
def stored_at(acme: Character, at: datetime) -> Iterator[None]:
    """What is recorded meanwhile in Acme's test environment is received, and stored, at that instant."""
    clock_set(acme.test, at)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usage, "uuid7", lambda: stored_id(at))
        yield


def partitions_command(*arguments: str, **environment: str) -> Any:
    """`manage.py event_partitions`, as the owner of the tables runs it."""
    return subprocess.run(
        [sys.executable, str(Path(settings.BASE_DIR, "manage.py")), "event_partitions", *arguments],
        env={**os.environ, "PURSER_DATABASE_ROLE": "owner", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
