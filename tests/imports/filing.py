"""Files as people upload them, and what became of their rows."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.kernel.ids import typeid_parse
from customers.models import ImportBatch, ImportRow
from customers.services.jobs import job_run
from tests.conftest import Answer, Api, Character


def csv_of(header: str, *rows: str) -> bytes:
    return ("\n".join((header, *rows)) + "\n").encode()


def send(
    api: Api,
    content: bytes,
    *,
    kind: str = "customers",
    mapping: dict[str, str] | None = None,
    constants: dict[str, str] | None = None,
    **more: Any,
) -> Answer:
    """POST /v1/imports with the file as the body."""
    asked = {"kind": kind, "file_name": "people.csv"}
    if mapping is not None:
        asked["mapping"] = json.dumps(mapping)
    if constants is not None:
        asked["constants"] = json.dumps(constants)
    return api.post(f"/v1/imports?{urlencode(asked)}", content, content_type="text/csv", **more)


def upload(api: Api, content: bytes, **more: Any) -> dict[str, Any]:
    answer = send(api, content, **more)
    assert answer.status == 201, answer
    return dict(answer.json)


def shown(api: Api, batch: dict[str, Any]) -> dict[str, Any]:
    answer = api.get(f"/v1/imports/{batch['id']}")
    assert answer.status == 200, answer
    return dict(answer.json)


def start(api: Api, batch: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(f"/v1/imports/{batch['id']}/start")
    assert answer.status == 200, answer
    return dict(answer.json)


def reverse(api: Api, batch: dict[str, Any], reason: str = "the wrong file") -> dict[str, Any]:
    answer = api.post(f"/v1/imports/{batch['id']}/reverse", {"reason": reason})
    assert answer.status == 200, answer
    return dict(answer.json)


def rows(api: Api, batch: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    """All rows, the first of the file first."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = api.get(f"/v1/imports/{batch['id']}/rows?limit=100{query}{cursor}")
        assert answer.status == 200, answer
        found += answer["data"]
        if not answer["pagination"]["has_more"]:
            return found[::-1]
        cursor = f"&cursor={answer['pagination']['next_cursor']}"


def work(acme: Character, batch: dict[str, Any]) -> None:
    """Be the worker of the import's job."""
    with environment_scope(acme.test.id):
        import_id = typeid_parse("imp", batch["id"])
        assert import_id is not None
        job = ImportBatch.objects.get(id=import_id).job
    assert job is not None
    job_run(environment_id=acme.test.id, job_id=job.id, clock=system_now)


def stored(batch: dict[str, Any]) -> Any:
    """The rows as they are stored, for whoever sees the environment."""
    return ImportRow.objects.filter(batch_id=typeid_parse("imp", batch["id"])).order_by("position")
