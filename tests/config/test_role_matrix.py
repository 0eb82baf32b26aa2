"""Each role, each address of the admin, looking and doing: exactly as the table beside this file says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from customers.admin.records import RecordAdmin
from customers.kernel.database import environment_scope
from customers.models import User
from tests.config.inhabited import addresses, inhabit, patterns, query_for, sealed_rows
from tests.conftest import Character, make_character
from tests.desk import somebody

TABLE = Path(__file__).with_name("role_matrix.txt")
ROLES = ("viewer", "support", "operator", "finance", "owner")
PERSONAS = (*ROLES, "superuser", "nobody")
#: The words of the table.
GROUPS = {
    "everyone": set(PERSONAS),
    "roles": {*ROLES, "superuser"},
    "movers": {"support", "operator", "finance", "owner", "superuser"},
    "support": {"support", "operator", "owner", "superuser"},
    "operator": {"operator", "owner", "superuser"},
    "billers": {"operator", "finance", "owner", "superuser"},
    "deciders": {"operator", "finance", "owner", "superuser"},
    "owner": {"owner", "superuser"},
    "superuser": {"superuser"},
    "none": set(),
}


def table() -> dict[str, tuple[str, str]]:
    """Address → who may look, who may do."""
    lines = [line.split() for line in TABLE.read_text().splitlines() if line.strip() and line[0] != "#"]
    assert all(len(line) == 3 for line in lines), [line for line in lines if len(line) != 3]
    found = {name: (look, do) for name, look, do in lines}
    assert len(found) == len(lines), "an address has two lines"
    return found


@pytest.fixture(scope="module")
def acme() -> Character:
    """Our tenant with one of everything; these tests change nothing of it."""
    character = make_character("Acme")
    inhabit(character)
    return character


@pytest.fixture(scope="module")
def people() -> dict[str, User]:
    found = {role: somebody(role) for role in ROLES}
    found["nobody"] = somebody()
    found["superuser"] = somebody()
    User.objects.filter(pk=found["superuser"].pk).update(is_superuser=True)
    return found


def client_of(user: User | None, acme: Character) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
        client.post("/admin/environment/", {"environment": str(acme.test.id)})
    return client


def answered(response: Any) -> str:
    """`yes`, `no` (403, or 405) or `gone` (404)."""
    assert response.status_code < 500, response
    return {403: "no", 404: "gone", 405: "no"}.get(response.status_code, "yes")


def test_every_address_has_a_line_and_every_line_an_address(acme):
    missing = sorted(set(addresses(acme)) - set(table()))
    superfluous = sorted(set(table()) - set(addresses(acme)))

    assert not missing, (
        f"These addresses of the admin have no line in {TABLE.relative_to(Path.cwd())}: {', '.join(missing)}. "
        "Write one for each: its name, who may look (GET), who may do (POST)."
    )
    assert not superfluous, f"These lines of the table name no address any more: {', '.join(superfluous)}."
    assert len(list(patterns())) > 150


def expected(word: str, persona: str) -> set[str]:
    """A group's members may; all others are refused, or told that there is no such page."""
    if word == "gone":
        return {"gone"}
    if persona not in GROUPS[word.removesuffix("?")]:
        return {"no", "gone"}
    return {"yes", "gone"} if word.endswith("?") else {"yes"}


@pytest.mark.parametrize("persona", PERSONAS)
def test_may(acme, people, persona):
    wrong = []
    lines, paths = table(), addresses(acme)
    client = client_of(people[persona], acme)
    for key, path in sorted(paths.items(), key=lambda one: one[0] == "logout"):
        if key not in lines:
            continue
        asked = path + query_for(key, acme)
        look, do = lines[key]
        # Without its token no form does anything, and whoever may use it is told so.
        for method, word, response in (
            ("GET", look, client.get(asked)),
            ("POST", do, client.post(asked, {})),
        ):
            said = answered(response)
            if said not in expected(word, persona):
                wrong.append(
                    f"{method} {key} ({path}): {said} [{response.status_code}], the table says {word}"
                )
    assert not wrong, "\n".join(wrong)


def test_whoever_is_not_logged_in_sees_the_login_and_nothing_else(acme):
    client = Client()
    open_to_all = {"login", "logout", "jsi18n", "single_sign_on", "single_sign_on_answer"}
    wrong = []
    for key, path in addresses(acme).items():
        for response in (client.get(path), client.post(path, {})):
            is_sent = response.status_code == 302 and response["Location"].startswith("/admin/login/")
            if not is_sent and key not in open_to_all:
                wrong.append(f"{key}: {response.status_code}")
    assert not wrong, wrong


def kinds() -> Iterator[tuple[Any, RecordAdmin]]:
    for model, one in admin.site._registry.items():
        if isinstance(one, RecordAdmin):
            yield model, one


@pytest.mark.parametrize("persona", ["superuser", "owner"])
def test_nobody_edits_or_deletes_what_is_on_record(acme, people, persona):
    """Whatever is sent to whatever address, with whatever in it."""
    before = sealed_rows(acme)
    client = client_of(people[persona], acme)
    for model, _ in kinds():
        with environment_scope(acme.test.id):
            row = model._default_manager.order_by("pk").first()
        base = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        client.post(
            base,
            {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes", "index": "0"},
        )
        for address in ("change/", "delete/", "history/", "edit/", ""):
            answer = client.post(
                f"{base}{row.pk}/{address}",
                {"amount_mc": "1", "remaining_mc": "1", "state": "x", "reason": "x", "post": "yes"},
            )
            # An edit dialog exists for the catalogue, and without its token does nothing.
            assert answer.status_code in {403, 404, 422}, (base, address, answer.status_code)

    after = sealed_rows(acme)
    assert all(after[name] == rows for name, rows in before.items())
    assert all(rows for name, rows in before.items() if name != "billing_ledger_seal"), before.keys()


def test_the_database_would_refuse_it_too(acme, superuser_sql):
    """Where the admin is not asked: rows on record carry triggers, or are out of the application's reach."""
    reachable = superuser_sql.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relname = ANY(%s) AND ("
        "has_table_privilege('purser_app', c.oid, 'DELETE') OR has_table_privilege('purser_app', c.oid, 'TRUNCATE'))"
        " AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 8 = 8)",
        [["billing_ledger_entry", "customers_audit_record", "customers_outbox_event", "customers_approval"]],
    ).fetchall()

    assert reachable == []
