"""The webhook catalogue: every event a tenant can be told of, with an example of its data.

Each app's `events.py` registers its own with `event_type`; unknown names cannot be emitted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EventType:
    """`example` shows the members an event adds to those every event has (id, event, created_at, customer…).

    `nullable` are those of them that may be null, although the example shows one.
    """

    name: str
    description: str
    example: Mapping[str, Any]
    nullable: frozenset[str] = frozenset()


CATALOGUE: dict[str, EventType] = {}


def event_type(
    name: str, description: str, example: Mapping[str, Any], nullable: Collection[str] = ()
) -> EventType:
    """Put an event into the catalogue; its name is `noun.past_participle`."""
    if name in CATALOGUE:
        raise ValueError(f"the event {name} is in the catalogue already")
    CATALOGUE[name] = EventType(name, description, example, frozenset(nullable))
    return CATALOGUE[name]


CUSTOMER_CREATED = event_type(
    "customer.created",
    "A customer was created, by a call or by the first usage under a new id.",
    {"auto_created": False},
)
CUSTOMER_UPDATED = event_type(
    "customer.updated", "Fields of a customer were changed.", {"changed": ["display_name"]}
)
CUSTOMER_DELETED = event_type(
    "customer.deleted",
    "A customer was deleted: hidden, while balances and subscriptions go on.",
    {"deleted_at": "2026-04-03T09:01:00Z"},
)
event_type(
    "webhook.test",
    "A test that somebody sent to one endpoint; it means nothing, and goes to no other.",
    {"webhook_endpoint_id": "whe_01k7x3s9c5ef6v8b2n4m6q8r0t"},
)
