"""The web gives up on locks and slow statements; nobody else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

_ASK = (
    "import json; from django.db import connection as c; c.ensure_connection(); "
    "print(json.dumps([c.connection.execute('SHOW ' + name).fetchone()[0] "
    "for name in ('lock_timeout', 'statement_timeout')]))"
)
_WEB = f"import config.wsgi; {_ASK}"
_OTHERS = f"import django; django.setup(); {_ASK}"


def asked(program: str, **settings: str) -> Any:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **settings}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("program", "settings", "expected"),
    [
        (_WEB, {}, ["10s", "30s"]),
        (
            _WEB,
            {"DATABASE_LOCK_TIMEOUT_SECONDS": "0.5", "DATABASE_STATEMENT_TIMEOUT_SECONDS": "0"},
            ["500ms", "0"],
        ),
        (_OTHERS, {}, ["0", "0"]),
    ],
    ids=["web", "web told otherwise", "workers and commands"],
)
def test_how_long_a_process_waits(program: str, settings: dict[str, str], expected: list[str]) -> None:
    assert asked(program, **settings) == expected
