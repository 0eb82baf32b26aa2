"""A tenant that has one of everything the admin has a page for, and the address of every page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib.auth.models import Group
from django.db import connection
from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from billing.admin.invoice_actions import _actions as invoice_actions
from billing.services.credit_notes import credit_note_create
from billing.services.manual_payments import invoice_mark_paid
from billing.services.provider_accounts import provider_account_set
from billing.services.reconciliations import reconcile
from billing.services.verification import verification_run
from customers.admin.customer_panels import _actions as customer_actions
from customers.admin.customer_panels import _panels as customer_panels
from customers.admin.test_clock import _DEEDS as CLOCK_DEEDS
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import Customer, Job, User, WebhookDelivery, WebhookEndpoint
from customers.services.customer_notes import customer_note_add
from customers.services.imports import import_upload
from customers.services.jobs import job_start
from metering.services.replays import KIND as REPLAY
from metering.services.replays import ReplayAsked, replay_start
from subscriptions.admin.subscription_actions import ACTIONS as SUBSCRIPTION_ACTIONS
from subscriptions.models import CreditGrantTemplate
from tests.billing.invoicing import make_customer, make_invoice
from tests.conftest import Api, Character
from tests.customers.test_job_admin import _find_two  # noqa: F401 - a kind of job
from tests.customers.test_webhook_delivery import work
from tests.customers.webhook_receiver import receiving
from tests.desk import Desk, somebody
from tests.making import give, make_metric, make_plan, make_variant, use
from tests.subscriptions.catalogue import make_grant, put_somebody_on
from tests.subscriptions.pricing import make_price_plan


def inhabit(character: Character) -> None:
    """One of each, in the test environment."""
    api, world, now = Api(character.test.secret), character.test, system_now()
    make_metric(api)
    give(api, 5_000_000)
    assert use(api, 3).status == 202
    held = {"external_customer_id": "user_1", "billable_metric_key": "api_call", "estimated_units": 2}
    assert api.post("/v1/reserve", held, idempotency_key=uuid4().hex).status == 201
    bought = {"name": "Pack", "credits": 1_000_000, "price": 900, "currency": "USD"}
    package = api.post("/v1/topup-packages", bought)
    assert package.status == 201, package
    topup = {"external_customer_id": "user_1", "package_id": package["id"], "external_payment_id": "pi_1"}
    assert api.post("/v1/topup/grant", topup, idempotency_key=uuid4().hex).status == 201
    plan = make_plan(api)
    variant = make_variant(api, plan)
    make_grant(api, plan, variant)
    put_somebody_on(character, variant)
    make_price_plan(api, f"plan_{uuid4().hex[:8]}")
    _billed(character)
    _sent(character, api)
    with environment_scope(world.id):
        job_start(caller=world.caller, kind="tests.desk", parameters={}, now=now)
        flat = {"cost_type": "flat", "unit_cost": 1}
        tried = ReplayAsked(definition=flat, metric_key="api_call", begin=now - timedelta(days=1), end=now)
        replay_start(caller=world.caller, asked=tried, now=now, clock=system_now)
        csv = b"external_id\nada\n"
        import_upload(caller=world.caller, kind="customers", name="people.csv", content=csv, now=now)
    verification_run(environment_id=world.id, now=now)
    _noted(character)
    _asked(character)


def _billed(character: Character) -> None:
    """An issued invoice, a paid one with its payment, a credit note; Stripe; a reconciliation."""
    world, now = character.test, system_now()
    customer = make_customer(world)
    make_invoice(world, customer, 14_900, now=now)
    paid = make_invoice(world, customer, 5_000, now=now)
    with environment_scope(world.id):
        invoice_mark_paid(caller=world.caller, invoice_id=paid.id, now=now)
        credit_note_create(caller=world.caller, invoice_id=paid.id, amount_minor=100, now=now)
        secrets = {"secret_key": f"sk_test_{'x' * 24}", "webhook_secret": f"whsec_{'x' * 24}"}
        provider_account_set(caller=world.caller, **secrets, now=now)
        window = {"begin": datetime(2026, 5, 1, tzinfo=UTC), "end": datetime(2026, 5, 2, tzinfo=UTC)}
        reconcile(environment_id=world.id, actor="user:me", now=now, **window)


def _sent(character: Character, api: Api) -> None:
    with override_settings(WEBHOOKS_ALLOW_PRIVATE=True, WEBHOOKS_DOORBELL=False), receiving() as receiver:
        made = api.post("/v1/webhook-endpoints", {"url": receiver.url, "events": ["*"]})
        assert made.status == 201, made
        give(api, 1_000)
        with environment_scope(character.test.id):
            work(character.test, WebhookEndpoint.objects.get())


def _noted(character: Character) -> None:
    """By nobody of the personas."""
    world = character.test
    with environment_scope(world.id):
        customer = Customer.objects.get(external_id="user_1")
        customer_note_add(
            caller=world.caller, customer_id=customer.id, text="Calls on Mondays", now=system_now()
        )


def _asked(character: Character) -> None:
    """A request for approval, of somebody who is none of the personas."""
    with environment_scope(character.test.id):
        customer = Customer.objects.get(external_id="user_1")
    desk = Desk(somebody("support"), character.test)
    data = {"credits_mc": "2500", "source": "manual", "priority": "0", "reason": "x", "ask": "1"}
    assert desk.send(f"/admin/customers/customer/{customer.id}/actions/grant/", data).status_code == 302


# --- Addresses


def patterns() -> Iterator[tuple[str, str]]:
    """Every address below /admin/ as the resolver has it: its name, or its route where it has none, and its route."""
    for route, name in _walked(get_resolver().url_patterns, ""):
        if route.startswith("admin/"):
            yield name or route, route


def _walked(entries: Any, before: str) -> Iterator[tuple[str, str]]:
    for entry in entries:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walked(entry.url_patterns, route)
        elif isinstance(entry, URLPattern):
            yield route, entry.name or ""


def addresses(character: Character) -> dict[str, str]:
    """A path for every address; one for each deed where an address takes the deed's name."""
    found: dict[str, str] = {}
    with environment_scope(character.test.id):
        for name, route in patterns():
            for more, arguments in _arguments(name, route):
                found[name + more] = _path(name, route, arguments)
    return found


def _path(name: str, route: str, arguments: dict[str, Any]) -> str:
    if route.startswith("admin/login/"):
        return f"/{route}"
    if name == route:
        plain = re.sub(r"<[^>]*>", str(arguments.get("object_id", "")), route)
        return "/" + re.sub(r"\(\?P.*", "nothing/here/", plain)
    return reverse(f"admin:{name}", kwargs=arguments)


def _arguments(name: str, route: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if "(?P<app_label>" in route:
        yield "", {"app_label": "customers"}
        return
    if "(?P<" in route:
        yield "", {}
        return
    given: dict[str, Any] = {"which": "errors"} if name == "customers_importbatch_rows" else {}
    for parameter in re.findall(r"<(?:\w+:)?(\w+)>", route):
        if parameter in {"slug", "deed", "outcome", "key"}:
            continue
        given[parameter] = given.get(parameter) or _value(name, route, parameter)
    deeds: dict[str, tuple[str, Iterable[str]]] = {
        "customers_customer_panel": ("key", [key for key, one in customer_panels.items() if one.comes_later]),
        "customers_customer_action": ("slug", customer_actions),
        "billing_invoice_action": ("slug", invoice_actions),
        "subscriptions_subscription_action": ("slug", SUBSCRIPTION_ACTIONS),
        "customers_test_clock_deed": ("deed", CLOCK_DEEDS),
        "billing_payment_simulate": ("outcome", ("succeeded", "failed")),
    }
    if name not in deeds:
        yield "", given
        return
    parameter, slugs = deeds[name]
    for slug in slugs:
        yield f":{slug}", {**given, parameter: str(slug)}


def _value(name: str, route: str, parameter: str) -> Any:
    if parameter == "customer_id":
        return _row("customers", "customer").pk
    if parameter == "job_id":
        return Job.objects.get(kind=REPLAY).public_id
    if parameter == "grant_id":
        return CreditGrantTemplate.objects.order_by("id")[0].public_id
    app, model = route.split("/")[1:3]
    return getattr(_row(app, model), "public_id", None) or _row(app, model).pk


def _row(app: str, model: str) -> Any:
    kind: Any = apps.get_model(app, model)
    rows = {
        User: lambda: User.objects.filter(is_superuser=False, groups__name="support").order_by("id"),
        Group: lambda: Group.objects.filter(name="viewer"),
    }.get(kind, lambda: kind.objects.order_by("pk"))()
    if model == "ledgerentry":
        rows = rows.filter(kind="debit")
    if model == "customer":
        rows = rows.filter(external_id="user_1")
    row = rows.first()
    assert row is not None, f"tests/config/inhabited.py makes no {app}.{model} yet: add one to `inhabit`"
    return row


def query_for(key: str, character: Character) -> str:
    """What an address needs to be asked for at all."""
    if key == "customers_webhookdelivery_retry_many":
        with environment_scope(character.test.id):
            return "?ids=" + WebhookDelivery.objects.all()[0].public_id
    return ""


# --- What must never change through the admin

SEALED = (
    "billing_ledger_entry",
    "billing_credit_block",
    "billing_hold",
    "billing_invoice_event",
    "billing_invoice_line",
    "billing_ledger_seal",
    "metering_usage_event",
    "customers_audit_record",
    "customers_outbox_event",
    "customers_webhook_attempt",
    "customers_approval",
    "customers_customer_note",
)


def sealed_rows(character: Character) -> dict[str, list[str]]:
    """Every row of those tables, as text."""
    there = set(connection.introspection.table_names())
    with environment_scope(character.test.id), connection.cursor() as cursor:
        found = {}
        for table in SEALED:
            assert table in there, table
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t ORDER BY 1")
            found[table] = [json.dumps(row[0]) for row in cursor.fetchall()]
    return found
