"""Notes about a customer: who writes, who reads, what stays and what can go."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from customers.errors import CustomerNotFound, NoteNotFound, NoteWithdrawn, ValidationFailed
from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer, CustomerNote
from customers.services.customer_notes import (
    NOTE_MAX,
    customer_note_add,
    customer_note_pin,
    customer_note_withdraw,
)
from tests.conftest import Api, Character, World
from tests.desk import Desk, somebody
from tests.making import give

LIST = "/admin/customers/customernote/"


@pytest.fixture
def page(api: Api, acme: Character) -> str:
    give(api, 1_000, to="user_1")
    return f"/admin/customers/customer/{customer_of(acme.test).pk}/"


@pytest.fixture
def desk(acme: Character) -> Desk:
    return Desk(somebody("support"), acme.test)


def customer_of(world: World) -> Customer:
    with environment_scope(world.id):
        return Customer.objects.get(external_id="user_1")


def notes(world: World) -> list[CustomerNote]:
    with environment_scope(world.id):
        return list(CustomerNote.objects.order_by("created_at"))


def write(desk: Desk, page: str, text: str, **more: str) -> None:
    assert desk.send(f"{page}actions/note/", {"text": text, **more}).status_code == 302


def shown(desk: Desk, page: str) -> list[str]:
    """The notes on the customer's page, from above."""
    return re.findall(r'<p class="p-note-text">(.*?)</p>', desk.open(f"{page}change/"), re.DOTALL)


def actions(world: World) -> list[str]:
    with environment_scope(world.id):
        records = AuditRecord.objects.filter(object_type="customer_note").order_by("occurred_at", "id")
        return list(records.values_list("action", flat=True))


def test_the_newest_stands_first_and_what_is_pinned_above_it(desk, page, acme):
    write(desk, page, "Called about the invoice")
    write(desk, page, "Never cut them off: hospital", is_pinned="on")
    write(desk, page, "Pays on Friday")

    assert shown(desk, page) == [
        "Never cut them off: hospital",
        "Pays on Friday",
        "Called about the invoice",
    ]
    assert {note.author for note in notes(acme.test)} == {f"user:{desk.user.username}"}


def test_a_form_sent_twice_keeps_one_note(desk, page, acme):
    token = desk.token(f"{page}actions/note/")

    for _ in range(2):
        answer = desk.send(f"{page}actions/note/", {"text": "Called"}, token=token)
        assert answer.status_code == 302

    assert [note.text for note in notes(acme.test)] == ["Called"]
    assert actions(acme.test) == ["customer_note.added"]


@pytest.mark.parametrize("text", ["", "   \n ", "x" * (NOTE_MAX + 1), "a\x00b"])
def test_what_is_no_note_is_refused(desk, page, acme, text):
    assert desk.send(f"{page}actions/note/", {"text": text}).status_code == 422

    assert notes(acme.test) == []
    assert actions(acme.test) == []


def test_the_service_refuses_it_too(page, acme):
    world, told = acme.test, {"caller": acme.test.caller, "now": system_now()}
    with environment_scope(world.id):
        customer_id = Customer.objects.get(external_id="user_1").id
        for text in ("", " ", "x" * (NOTE_MAX + 1), "a\x00b"):
            with pytest.raises(ValidationFailed):
                customer_note_add(customer_id=customer_id, text=text, **told)
        with pytest.raises(CustomerNotFound):
            customer_note_add(customer_id=world.id, text="x", **told)
        with pytest.raises(NoteNotFound):
            customer_note_pin(note_id=customer_id, is_pinned=True, **told)


def test_it_is_in_the_timeline_once_and_is_a_kind_of_its_own(desk, page):
    write(desk, page, "Called about the invoice")

    everything, alone = desk.open(f"{page}timeline/"), desk.open(f"{page}timeline/?kind=notes")

    assert everything.count("Called about the invoice") == 1
    assert "customer_note.added" not in everything
    assert "Called about the invoice" in alone
    assert "credit.granted" not in alone


def test_the_trail_says_who_and_never_what(desk, page, acme):
    write(desk, page, "His sister is ill")

    with environment_scope(acme.test.id):
        record = AuditRecord.objects.get(object_type="customer_note")
    (note,) = notes(acme.test)

    assert (record.action, record.actor) == ("customer_note.added", f"user:{desk.user.username}")
    assert (record.object_id, record.customer_id) == (note.public_id, note.customer_id)
    assert "sister" not in f"{record.changes}{record.reason}"


def test_a_pin_is_set_and_taken_away(desk, page, acme):
    write(desk, page, "Calls on Mondays")
    here = f"{LIST}{notes(acme.test)[0].public_id}/pin/"

    assert desk.send(here, {}).status_code == 302
    assert notes(acme.test)[0].is_pinned
    assert desk.send(here, {}).status_code == 302
    assert not notes(acme.test)[0].is_pinned
    assert actions(acme.test) == ["customer_note.added", "customer_note.pinned", "customer_note.unpinned"]


def test_what_is_withdrawn_is_gone_and_that_it_was_there_is_not(desk, page, acme):
    write(desk, page, "Card 4111 1111 1111 1111", is_pinned="on")
    public_id = notes(acme.test)[0].public_id

    assert desk.send(f"{LIST}{public_id}/withdraw/", {"reason": "A card number"}).status_code == 302

    (note,) = notes(acme.test)
    assert (note.text, note.is_pinned, note.withdrawn_by) == ("", False, f"user:{desk.user.username}")
    assert shown(desk, page) == []
    for path in (f"{page}timeline/", f"{LIST}{public_id}/change/", f"{LIST}?status=all"):
        said = desk.open(path)
        assert "4111" not in said
        assert "ithdrawn" in said
    assert public_id not in desk.open(LIST)
    assert actions(acme.test) == ["customer_note.added", "customer_note.withdrawn"]


def test_nothing_more_is_done_to_what_is_withdrawn(desk, page, acme):
    write(desk, page, "Called")
    (note,) = notes(acme.test)
    told = {"caller": acme.test.caller, "note_id": note.id, "now": system_now()}
    with environment_scope(acme.test.id):
        customer_note_withdraw(reason="Wrong customer", **told)
        with pytest.raises(NoteWithdrawn):
            customer_note_withdraw(reason="Again", **told)
        with pytest.raises(NoteWithdrawn):
            customer_note_pin(is_pinned=True, **told)

    assert notes(acme.test)[0].withdrawal_reason == "Wrong customer"
    assert desk.send(f"{LIST}{note.public_id}/withdraw/", {"reason": "Again"}).status_code == 422


def test_one_withdraws_ones_own_and_operators_those_of_others(desk, page, acme):
    write(desk, page, "Called")
    public_id = notes(acme.test)[0].public_id
    here = f"{LIST}{public_id}/withdraw/"

    for role in ("support", "finance", "viewer"):
        colleague = Desk(somebody(role), acme.test)
        colleague.open(here, status=403)
        assert "Withdraw" not in colleague.open(f"{LIST}{public_id}/change/")
    assert Desk(somebody("operator"), acme.test).send(here, {"reason": "Rude"}).status_code == 302


def test_viewers_read_and_do_not_write(desk, page, acme):
    write(desk, page, "Called")
    viewer = Desk(somebody("viewer"), acme.test)

    assert shown(viewer, page) == ["Called"]
    assert "Write a note" not in viewer.open(f"{page}change/")
    viewer.open(f"{page}actions/note/", status=403)


def test_the_list_finds_and_exports(desk, page, acme):
    write(desk, page, "Called about the invoice")
    write(desk, page, "=2+2")
    public_id = notes(acme.test)[0].public_id

    for term in (public_id, "user_1", desk.user.username):
        assert "Called about the invoice" in desk.open(f"{LIST}?q={term}")
    assert "Called" not in desk.open(f"{LIST}?q=user_2")
    assert public_id in desk.open(f"/admin/search/?s={public_id}")
    csv = b"".join(desk.client.get(f"{LIST}export/").streaming_content).decode()
    assert "Called about the invoice" in csv
    assert "'=2+2" in csv
    assert desk.queries(LIST) <= 15
    assert desk.queries(f"{LIST}{public_id}/change/") <= 15


def test_nobody_elsewhere_sees_it(desk, page, acme, rival):
    write(desk, page, "Called")
    public_id = notes(acme.test)[0].public_id

    for world in (acme.live, rival.test):
        assert notes(world) == []
        desk.look_at(world)
        desk.open(f"{LIST}{public_id}/change/", status=404)
        assert "Called" not in desk.open(f"{LIST}?status=all")


def test_what_is_written_is_never_markup(desk, page):
    write(desk, page, "<script>alert(1)</script>")

    assert "<script>alert" not in desk.open(f"{page}change/")
    assert "<script>alert" not in desk.open(f"{page}timeline/")


def test_a_customer_who_is_wound_down_keeps_them(desk, api, page, acme):
    write(desk, page, "Owes us an answer")

    done = api.post("/v1/customers/user_1/wind-down", {"reason": "Left"}, idempotency_key="end")

    assert done.status == 200
    assert shown(desk, page) == ["Owes us an answer"]
    write(desk, page, "Asked for an export")
    assert len(notes(acme.test)) == 2


_REFUSED: list[tuple[str, Any]] = [
    ("UPDATE customers_customer_note SET text = 'Other'", "stays as it was written"),
    ("UPDATE customers_customer_note SET author = 'user:other'", "stays as it was written"),
    ("UPDATE customers_customer_note SET withdrawn_at = now(), withdrawn_by = 'x'", "says_something"),
    ("DELETE FROM customers_customer_note", "append-only"),
    ("TRUNCATE customers_customer_note", "append-only"),
]


@pytest.mark.parametrize(("sql", "why"), _REFUSED)
def test_the_database_keeps_it_as_it_was_written(desk, page, superuser_sql, sql, why):
    write(desk, page, "Called")

    with pytest.raises(psycopg.Error, match=why):
        superuser_sql.execute(sql)
