"""The webhook catalogue as others read it: a page (/docs/webhooks), and `webhooks` in the API's description."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from html import escape
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from customers.api.pages import page_response
from customers.events import CATALOGUE, EventType

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
#: What every event has; what is not about a customer lacks the last four.
_COMMON: Final[dict[str, Any]] = {
    "id": "msg_01k7x3s9c5ef6v8b2n4m6q8r0t",
    "event": "",
    "created_at": "2026-04-03T09:01:00Z",
    "environment": "test",
}
_ABOUT_CUSTOMER: Final[dict[str, Any]] = {
    "sequence": 42,
    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
    "external_customer_id": "user_quickstart",
    "customer": {
        "id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
        "external_id": "user_quickstart",
        "display_name": "Quickstart User",
    },
}
_NULLABLE: Final = frozenset({"external_customer_id", "external_id", "display_name"})
#: Exact decimals: an integer, or text where it is none. And members whose names are metrics' keys.
_QUANTITIES: Final = frozenset({"units", "estimated_units", "actual_units"})
_BY_KEY: Final = frozenset({"by_billable_metric"})
_INTRODUCTION: Final = """
<h1>Webhooks</h1>
<p>An event is recorded in the transaction of what caused it, and sent as a POST with a flat JSON body to every
<a href="/docs#/Webhooks">webhook endpoint</a> that wants it. Answer with a 2xx status within five seconds, and work on
it afterwards.</p>
<h2>Verify it</h2>
<p>Messages are signed after <b>Standard Webhooks</b>: <code>webhook-id</code>, <code>webhook-timestamp</code> and
<code>webhook-signature</code>, which is <code>v1,</code> and the base 64 of an HMAC-SHA256 over
<code>id.timestamp.body</code>; its key is the base 64 in the secret after <code>whsec_</code>. Any library of that
standard verifies them. For 24 hours after a rotation there are two signatures, with a space between them.</p>
<h2>Once, and in order</h2>
<p>A message may come more than once: forget those whose <code>webhook-id</code> you have seen. Events of a customer
carry <code>sequence</code> 1, 2, 3, … without gaps (a filter leaves some out) and are sent to an endpoint in that
order, one after the other; customers do not wait for each other. To repair a gap, read
<code>GET /v1/webhook-events?after=</code> the last id you have.</p>
<h2>When it fails</h2>
<p>Any other answer, a redirect, or none within five seconds is tried again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and
14 h, or later if <code>Retry-After</code> says so; then the delivery is dead, the customer's next event has its
turn, and a person or a call can retry it. After ten failures in a row an endpoint is tried less
often until it is well; one that answers 410, or fails for days, is disabled.</p>
<h2>Events</h2>
<p><code>*</code> means all but <code>credit.consumed</code>, which an endpoint must name; <code>credit.*</code> means a
group.</p>
"""


@require_safe
def webhooks_page(_request: HttpRequest) -> HttpResponse:
    """Every event: when it is sent, and what it looks like."""
    events = [event for _, event in sorted(CATALOGUE.items())]
    rows = "".join(
        f'<tr><td><a href="#{escape(event.name)}"><code>{escape(event.name)}</code></a></td></tr>'
        for event in events
    )
    return page_response(
        title="Webhooks", body=f"{_INTRODUCTION}<table>{rows}</table>{''.join(map(_section, events))}"
    )


def webhooks_described() -> dict[str, Any]:
    """OpenAPI's `webhooks`: one POST each."""
    return {
        event.name: {
            "post": {
                "operationId": "webhook_" + event.name.replace(".", "_"),
                "summary": event.name,
                "description": event.description,
                "tags": ["Webhooks"],
                "security": [],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": event_schema(event),
                            "example": event_example(event),
                        }
                    },
                },
                "responses": {"200": {"description": "Any 2xx status means that it arrived."}},
            }
        }
        for _, event in sorted(CATALOGUE.items())
    }


def event_example(event: EventType) -> dict[str, Any]:
    """A whole payload."""
    about = {} if event.name == "webhook.test" else _ABOUT_CUSTOMER
    return {**_COMMON, "event": event.name, **about, **event.example}


def event_schema(event: EventType) -> dict[str, Any]:
    """JSON Schema of the payload, read off the example. Members may be added one day."""
    schema = _schema(event_example(event), _NULLABLE | event.nullable)
    schema["properties"]["event"] = {"type": "string", "const": event.name}
    schema["properties"]["environment"] = {"type": "string", "enum": ["live", "test"]}
    return schema


def _schema(value: Any, nullable: Collection[str]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {
            "type": "object",
            "required": list(value),
            "properties": {name: _member(name, inner, nullable) for name, inner in value.items()},
        }
    if isinstance(value, list):
        return {"type": "array", "items": _schema(value[0], nullable) if value else {}}
    if isinstance(value, str):
        is_instant = _INSTANT.fullmatch(value) is not None
        return {"type": "string", "format": "date-time"} if is_instant else {"type": "string"}
    return _SIMPLE[type(value)].copy()


def _member(name: str, value: Any, nullable: Collection[str]) -> dict[str, Any]:
    if name in _QUANTITIES:
        return {"type": ["integer", "string"]}
    schema = _schema(value, nullable)
    if name in _BY_KEY:
        (each,) = schema["properties"].values()
        return {"type": "object", "additionalProperties": each}
    return {**schema, "type": [schema["type"], "null"]} if name in nullable and value is not None else schema


_SIMPLE: Final[dict[type, dict[str, Any]]] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    # The example shows that it may be null; what else it may be is text, mostly, but nothing says so.
    type(None): {},
}


def _section(event: EventType) -> str:
    example = json.dumps(event_example(event), indent=2, ensure_ascii=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(event.description))
    return (
        f'<h2 id="{escape(event.name)}"><code>{escape(event.name)}</code></h2><p>{text}</p>'
        f'<pre tabindex="0"><code>{escape(example)}</code></pre>'
    )
