"""Importing customers: tried first, made and changed, and taken back as far as nobody used them."""

from __future__ import annotations

from typing import Any

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer, OutboxEvent
from tests.conftest import Api, Character
from tests.imports.filing import csv_of, reverse, rows, send, shown, start, upload
from tests.making import give

FILE = csv_of(
    "External ID;Name;E-Mail;Overage policy;Metadata",
    'ada;"Lovelace, Ada";ada@example.com;allow;"{""plan"": 1.5}"',
    "bob;Bob;bob@example.com;;",
    "eve;Eve;no address;sometimes;",
)


def customers(acme: Character) -> dict[str, Customer]:
    with environment_scope(acme.test.id):
        return {str(each.external_id): each for each in Customer.objects.filter(deleted_at__isnull=True)}


def test_a_dry_run_tells_everything_and_leaves_nothing(api: Api, acme: Character) -> None:
    # given
    assert api.post("/v1/customers", {"external_id": "bob", "name": "Robert"}).status == 201
    # when
    batch = upload(api, FILE)
    # then
    assert (batch["state"], batch["rows"]) == ("checked", 3)
    assert batch["mapping"] == {
        "external_id": "External ID",
        "name": "Name",
        "email": "E-Mail",
        "overage_policy": "Overage policy",
        "metadata": "Metadata",
    }
    assert batch["expected"] == {"made": 1, "changed": 1, "unchanged": 0, "refused": 1, "amount": 0}
    ada, bob, eve = rows(api, batch)
    assert (ada["expected"], ada["outcome"], ada["line"]) == ("made", "pending", 2)
    assert bob["details"] == {"changes": {"name": ["Robert", "Bob"], "email": [None, "bob@example.com"]}}
    assert eve["errors"] == [
        {"field": "email", "code": "invalid", "message": "Must be an email address."},
        {
            "field": "overage_policy",
            "code": "invalid",
            "message": "Must be one of block, allow, notify.",
        },
    ]
    # and nothing is there that was not before
    left = customers(acme)
    assert (list(left), left["bob"].name) == (["bob"], "Robert")
    with environment_scope(acme.test.id):
        assert OutboxEvent.objects.count() == 1
        made = AuditRecord.objects.order_by("id").values_list("action", flat=True)
        assert [action for action in made if action.startswith(("customer.", "import."))] == [
            "customer.created",
            "import.uploaded",
            "import.checked",
        ]


def test_rows_are_brought_in_by_the_services(api: Api, acme: Character) -> None:
    # given
    assert api.post("/v1/customers", {"external_id": "bob", "name": "Robert"}).status == 201
    batch = upload(api, FILE)
    # when
    done = start(api, batch)
    # then
    assert (done["state"], done["job"]["state"]) == ("imported", "done")
    assert done["outcome"] == {"made": 1, "changed": 1, "unchanged": 0, "refused": 1, "amount": 0}
    left = customers(acme)
    assert sorted(left) == ["ada", "bob"]
    assert left["ada"].metadata == {"plan": 1.5}
    assert (left["ada"].name, left["ada"].overage_policy) == ("Lovelace, Ada", "allow")
    assert (left["bob"].name, left["bob"].overage_policy) == ("Bob", "block")
    with environment_scope(acme.test.id):
        told = OutboxEvent.objects.order_by("id").values_list("event", flat=True)
        assert list(told) == ["customer.created", "customer.created", "customer.updated"]
    assert [row["object_id"] for row in rows(api, batch, "&outcome=made")] == ["ada"]
    assert [row["row"] for row in rows(api, batch, "&outcome=refused")] == [3]


def test_what_nobody_touched_is_taken_back(api: Api, acme: Character) -> None:
    # given four that were made, of whom one was changed since, one has credits, one was deleted; and one was changed
    assert api.post("/v1/customers", {"external_id": "bob", "tax_rate": "19"}).status == 201
    batch = upload(
        api,
        csv_of("external_id,name,tax_rate", "ada,Ada,", "eve,Eve,", "dan,Dan,", "jim,Jim,", "bob,Bob,7.5"),
    )
    start(api, batch)
    assert api.patch("/v1/customer-by-external-id/eve", {"name": "Eva"}).status == 200
    give(api, 1_000, to="dan")
    assert api.delete("/v1/customer-by-external-id/jim").status == 204
    # when
    undone = reverse(api, batch)
    # then
    assert undone["state"] == "reversed"
    assert undone["reversal"] == {"reversed": 2, "partly": 0, "kept": 3}
    told = [(row["object_id"], row["reversal"], row["reversal_note"]) for row in rows(api, batch)]
    assert told == [
        ("ada", "reversed", ""),
        ("eve", "kept", "The customer was changed since."),
        ("dan", "kept", "The customer has credits, owes some, or holds some."),
        ("jim", "kept", "The customer was deleted since."),
        ("bob", "reversed", "Has its former values again."),
    ]
    left = customers(acme)
    assert sorted(left) == ["bob", "dan", "eve"]
    assert (left["bob"].name, str(left["bob"].tax_rate)) == (None, "19.0000")
    with environment_scope(acme.test.id):
        (record,) = AuditRecord.objects.filter(action="import.reversed")
        deleted = AuditRecord.objects.get(
            action="customer.deleted", customer_id__isnull=False, reason="the wrong file"
        )
    assert record.reason == "the wrong file"
    assert deleted.actor == acme.test.caller.actor


def test_what_stayed_can_be_tried_again(api: Api, acme: Character) -> None:
    batch = upload(api, csv_of("external_id", "ada"))
    start(api, batch)
    give(api, 1_000, to="ada")
    assert reverse(api, batch)["reversal"]["kept"] == 1
    # when the credits are gone
    answer = api.post(
        "/v1/customer-by-external-id/ada/credits/adjust", {"delta": -1_000}, idempotency_key="away"
    )
    assert answer.status == 201
    # then
    assert reverse(api, batch)["reversal"] == {"reversed": 1, "partly": 0, "kept": 0}
    assert customers(acme) == {}


def test_a_row_about_the_same_customer_twice_is_refused(api: Api) -> None:
    batch = upload(api, csv_of("external_id,name", "ada,Ada", "bob,Bob", "ada,Ada L."))
    assert [row["expected"] for row in rows(api, batch)] == ["made", "made", "refused"]
    assert rows(api, batch)[2]["errors"] == [
        {"field": "", "code": "repeated", "message": "Row 1 of this file is about the same."}
    ]


def test_a_second_import_of_the_same_file_changes_nothing(api: Api, acme: Character) -> None:
    file = csv_of("external_id,name", "ada,Ada")
    start(api, upload(api, file))
    again = start(api, upload(api, file))
    assert again["outcome"] == {"made": 0, "changed": 0, "unchanged": 1, "refused": 0, "amount": 0}
    assert reverse(api, again)["reversal"] == {"reversed": 0, "partly": 0, "kept": 0}
    assert list(customers(acme)) == ["ada"]


def test_steps_are_taken_in_their_order(api: Api) -> None:
    batch = upload(api, csv_of("external_id", "ada"))
    early = api.post(f"/v1/imports/{batch['id']}/reverse", {"reason": "x"})
    assert early.refusal() == (409, "import-not-ready")
    assert early["state"] == "checked"
    start(api, batch)
    assert api.post(f"/v1/imports/{batch['id']}/start").refusal() == (409, "import-not-ready")
    without = api.post(f"/v1/imports/{batch['id']}/reverse", {"reason": ""})
    assert without.refusal() == (422, "validation-failed")
    assert shown(api, batch)["state"] == "imported"


def test_a_file_whose_every_row_is_refused_is_not_started(api: Api) -> None:
    batch = upload(api, csv_of("external_id,email", "ada,nowhere"))
    assert api.post(f"/v1/imports/{batch['id']}/start").refusal() == (409, "import-not-ready")


def test_the_same_upload_twice_is_one_import(api: Api) -> None:
    file = csv_of("external_id", "ada")
    first = send(api, file, idempotency_key="monday")
    second = send(api, file, idempotency_key="monday")
    assert (first["id"], second.headers["X-Idempotent-Replayed"]) == (second["id"], "true")
    other = send(api, csv_of("external_id", "bob"), idempotency_key="monday")
    assert other.refusal() == (422, "idempotency-key-reused")


def test_a_form_with_a_file_does_the_same(api: Api, acme: Character) -> None:
    body, kind = form(
        {"kind": "customers", "mapping": '{"external_id": "who"}'}, "k.csv", csv_of("who", "ada")
    )
    batch = api.send("POST", "/v1/imports", body, content_type=kind)
    assert batch.status == 201, batch
    assert (batch["file_name"], batch["expected"]["made"]) == ("k.csv", 1)


def test_rivals_see_nothing(api: Api, acme: Character, rival: Character) -> None:
    batch = upload(api, csv_of("external_id", "ada"))
    other = Api(rival.test.secret)
    assert other.get("/v1/imports")["data"] == []
    for path in ("", "/rows"):
        assert other.get(f"/v1/imports/{batch['id']}{path}").refusal() == (404, "import-not-found")
    for step, body in (("start", None), ("reverse", {"reason": "x"})):
        assert other.post(f"/v1/imports/{batch['id']}/{step}", body).refusal() == (404, "import-not-found")
    with environment_scope(rival.test.id):
        from_rival: list[Any] = list(Customer.objects.all())
    assert from_rival == []
    assert shown(api, batch)["state"] == "checked"


def form(fields: dict[str, str], name: str, content: bytes) -> tuple[bytes, str]:
    """A multipart body and its content type."""
    edge = "edge-of-a-part"
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    parts.append(f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n')
    return "".join(
        parts
    ).encode() + content + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"
