"""/healthz: this process answers. /readyz: and what it needs is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import redis
from django.conf import settings
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

_TIMEOUT_SECONDS: Final = 2
# Once seen complete they stay so for the life of this process.
_migrated: Final[set[str]] = set()


@require_safe
def healthz(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(_request: HttpRequest) -> JsonResponse:
    """200 when requests can be served; Redis is reported, but requests are served without it too."""
    checks = {name: _works(check) for name, check in _CHECKS.items()}
    ready = checks["database"] == checks["migrations"] == "ok"
    return JsonResponse(
        {"status": "ok" if ready else "unready", "checks": checks}, status=200 if ready else 503
    )


def _works(check: Callable[[], None]) -> str:
    try:
        check()
    except Exception as error:
        return type(error).__name__
    return "ok"


def _database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _redis() -> None:
    redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS
    ).ping()


class _MigrationsMissing(Exception):
    pass


def _migrations() -> None:
    if _migrated:
        return
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise _MigrationsMissing
    _migrated.add("all")


_CHECKS: Final[dict[str, Callable[[], None]]] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
}
