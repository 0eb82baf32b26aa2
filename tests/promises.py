"""What the API's description promises of webhook events, held against those that stories emitted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator

from customers.api.webhook_catalogue import event_schema
from customers.events import CATALOGUE
from customers.kernel.database import environment_scope
from customers.models import OutboxEvent


def broken_promises(*environments: Any) -> list[str]:
    """Of all events emitted in these environments. Members that the catalogue does not name may be there, too."""
    found = []
    for environment in environments:
        with environment_scope(environment.id):
            payloads = list(OutboxEvent.objects.values_list("event", "payload"))
        for event, payload in payloads:
            for error in _promised(event).iter_errors(payload):
                place = ".".join(str(part) for part in error.absolute_path)
                found.append(f"{event} {place}: {error.message}")
    return sorted(set(found))


@lru_cache
def _promised(event: str) -> Draft202012Validator:
    return Draft202012Validator(event_schema(CATALOGUE[event]))
