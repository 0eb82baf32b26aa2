"""Customers over HTTP: created, found by both URL forms, changed, hidden, and their ids used again."""

from __future__ import annotations

from urllib.parse import quote
from uuid import UUID, uuid4

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Customer, OutboxEvent


def test_a_customer_with_only_an_external_id_gets_a_uuid7(api):
    made = api.post("/v1/customers", {"external_id": "user_1", "display_name": "User One"})

    assert made.status == 201
    assert UUID(made["id"]).version == 7
    assert made.json == {
        "id": made["id"],
        "external_id": "user_1",
        "display_name": "User One",
        "name": None,
        "email": None,
        "overage_policy": "block",
        "overage_limit": None,
        "low_balance_threshold": None,
        "timezone": "UTC",
        "payment_provider": None,
        "payment_provider_customer_id": None,
        "payment_method_id": None,
        "tax_rate": None,
        "tax_id": None,
        "billing_address": None,
        "metadata": {},
        "created_at": made["created_at"],
        "updated_at": made["created_at"],
        "deleted_at": None,
    }
    assert made["created_at"].endswith("Z")


def test_a_chosen_id_is_the_external_id_too(api):
    made = api.post(
        "/v1/customers",
        {
            "id": "cust_acme",
            "name": "Acme Corp",
            "email": "billing@acme.io",
            "payment_provider": "stripe",
            "payment_provider_customer_id": "cus_stripe_acme123",
        },
    )

    assert (made.status, made["id"], made["external_id"]) == (201, "cust_acme", "cust_acme")
    assert made["payment_provider"] == "stripe"
    assert api.get("/v1/customers/cust_acme").json == made.json
    assert api.get("/v1/customer-by-external-id/cust_acme").json == made.json


def test_a_chosen_id_and_an_external_id_stay_apart(api):
    made = api.post("/v1/customers", {"id": "cust_b", "external_id": "user_b"})

    assert (made["id"], made["external_id"]) == ("cust_b", "user_b")
    assert api.get("/v1/customer-by-external-id/user_b")["id"] == "cust_b"
    assert api.get("/v1/customer-by-external-id/cust_b").refusal() == (404, "customer-not-found")


def test_a_chosen_uuid_is_found_in_any_case(api):
    chosen = str(uuid4()).upper()

    made = api.post("/v1/customers", {"id": chosen})

    assert made["id"] == chosen.lower()
    assert api.get(f"/v1/customers/{chosen}")["id"] == chosen.lower()
    assert api.get(f"/v1/customers/{chosen.lower()}")["id"] == chosen.lower()


def test_the_id_form_falls_back_to_the_external_id_unless_the_text_is_a_uuid(api):
    external = str(uuid4())
    api.post("/v1/customers", {"external_id": "tenant:user/7"})
    api.post("/v1/customers", {"external_id": external})

    assert api.get("/v1/customers/tenant:user/7")["external_id"] == "tenant:user/7"
    assert api.get(f"/v1/customers/{external}").refusal() == (404, "customer-not-found")
    assert api.get(f"/v1/customer-by-external-id/{external}")["external_id"] == external


@pytest.mark.parametrize(
    "external_id", ["a:b", "a/b", "a b", "a%b", "a?b=c#d", "//", "é✓𝄞", "credits", "..", "a\nb", "x" * 255]
)
def test_any_external_id_works_percent_encoded(api, external_id):
    api.post("/v1/customers", {"external_id": external_id})

    found = api.get(f"/v1/customer-by-external-id/{quote(external_id, safe='')}")

    assert (found.status, found["external_id"]) == (200, external_id)


def test_what_invoices_need_is_kept_exactly(api):
    made = api.post("/v1/customers", {"external_id": "user_1", "tax_rate": "7.7", "tax_id": "CHE-1"})
    address = "1 Infinite Loop\nCupertino"

    changed = api.patch(f"/v1/customers/{made['id']}", {"tax_rate": 8.1, "billing_address": address})

    assert (made["tax_rate"], made["tax_id"], made["billing_address"]) == ("7.7", "CHE-1", None)
    assert (changed.status, changed["tax_rate"], changed["billing_address"]) == (200, "8.1", address)
    assert api.get(f"/v1/customers/{made['id']}").json == changed.json
    assert api.patch(f"/v1/customers/{made['id']}", {"tax_rate": None})["tax_rate"] is None


def test_a_duplicate_is_refused_and_named(api):
    first = api.post("/v1/customers", {"external_id": "twice"})

    by_external_id = api.post("/v1/customers", {"external_id": "twice"})
    by_id = api.post("/v1/customers", {"id": first["id"], "external_id": "other"})

    assert by_external_id.refusal() == (409, "customer-exists")
    assert by_external_id["existing_id"] == first["id"]
    assert by_id.refusal() == (409, "customer-exists")
    assert by_id["existing_id"] == first["id"]
    assert api.get("/v1/customer-by-external-id/other").status == 404


def test_two_creates_at_once_make_one_customer(api, together):
    answers = together(6, lambda _: api.post("/v1/customers", {"external_id": "race"}))

    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]
    assert len(api.get("/v1/customers?external_id=race")["data"]) == 1


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({}, "external_id", "required"),
        ({"external_id": ""}, "external_id", "blank"),
        ({"external_id": "x" * 256}, "external_id", "max-length"),
        ({"external_id": 7}, "external_id", "invalid"),
        ({"external_id": ["a"]}, "external_id", "invalid"),
        ({"external_id": "a", "display_name": "x" * 201}, "display_name", "max-length"),
        ({"external_id": "a", "display_nam": "x"}, "display_nam", "unknown-field"),
        ({"external_id": "a", "email": "nobody"}, "email", "invalid"),
        ({"external_id": "a", "timezone": "Mars/Olympus"}, "timezone", "invalid"),
        ({"external_id": "a", "timezone": "../../etc/passwd"}, "timezone", "invalid"),
        ({"external_id": "a", "overage_policy": "maybe"}, "overage_policy", "invalid-choice"),
        ({"external_id": "a", "overage_policy": True}, "overage_policy", "invalid-choice"),
        ({"external_id": "a", "overage_limit": 1.0}, "overage_limit", "invalid"),
        ({"external_id": "a", "overage_limit": "1000"}, "overage_limit", "invalid"),
        ({"external_id": "a", "overage_limit": True}, "overage_limit", "invalid"),
        ({"external_id": "a", "overage_limit": -1}, "overage_limit", "min-value"),
        ({"external_id": "a", "overage_limit": 10**15 + 1}, "overage_limit", "max-value"),
        ({"external_id": "a", "tax_rate": -1}, "tax_rate", "invalid"),
        ({"external_id": "a", "tax_rate": "100.0001"}, "tax_rate", "invalid"),
        ({"external_id": "a", "tax_rate": "7.00001"}, "tax_rate", "invalid"),
        ({"external_id": "a", "tax_rate": "seven"}, "tax_rate", "invalid"),
        ({"external_id": "a", "tax_id": "x" * 65}, "tax_id", "max-length"),
        ({"external_id": "a", "billing_address": "x" * 1001}, "billing_address", "max-length"),
        ({"external_id": "a", "metadata": []}, "metadata", "invalid"),
        ({"external_id": "a", "metadata": {str(n): 1 for n in range(51)}}, "metadata", "metadata-too-large"),
        ({"external_id": "a", "metadata": {"k": "x" * 8192}}, "metadata", "metadata-too-large"),
        ({"external_id": "a\u0000b"}, "external_id", "nul-character"),
        ({"external_id": "a", "metadata": {"k": ["\u0000"]}}, "metadata.k.0", "nul-character"),
        ({"external_id": "a", "metadata": {"k\u0000": 1}}, "metadata.k\\u0000", "nul-character"),
        ({"external_id": "a\ud800"}, "external_id", "invalid-text"),
        ({"external_id": "a", "created_at": "2026-01-01T00:00:00Z"}, "created_at", "unknown-field"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_written(api, body, field, code):
    refused = api.post("/v1/customers", body)

    assert refused.refusal() == (422, "validation-failed")
    assert (field, code) in [(error["field"], error["code"]) for error in refused["errors"]]
    assert api.get("/v1/customers")["data"] == []


def test_an_unknown_field_suggests_the_known_one(api):
    refused = api.post("/v1/customers", {"external_id": "a", "displayname": "x"})

    assert refused["errors"] == [
        {
            "field": "displayname",
            "code": "unknown-field",
            "message": "There is no such field. Did you mean display_name?",
        }
    ]


def test_metadata_comes_back_as_it_was_sent(api):
    metadata = {
        "text": "ü",
        "whole": 12345678901234567890,
        "fraction": 0.1,
        "deep": {"list": [None, True, "x"]},
    }

    made = api.post("/v1/customers", {"external_id": "a", "metadata": metadata})

    assert made["metadata"] == metadata
    assert api.get("/v1/customers/a")["metadata"] == metadata


def test_a_metadata_number_that_would_lose_digits_is_refused(api):
    refused = api.post("/v1/customers", b'{"external_id": "a", "metadata": {"n": 0.12345678901234567890123}}')

    assert refused.refusal() == (422, "validation-failed")
    assert refused["errors"][0]["code"] == "number-not-exact"


def test_patch_changes_only_what_is_sent(api):
    made = api.post("/v1/customers", {"external_id": "a", "display_name": "A", "overage_limit": 5000})

    changed = api.patch("/v1/customers/a", {"overage_policy": "notify", "overage_limit": None})

    assert changed.status == 200
    assert (changed["overage_policy"], changed["overage_limit"]) == ("notify", None)
    assert (changed["display_name"], changed["external_id"]) == ("A", "a")
    assert changed["updated_at"] > made["updated_at"]
    assert api.get("/v1/customers/a").json == changed.json


def test_patch_to_an_external_id_in_use_is_refused(api):
    first = api.post("/v1/customers", {"external_id": "a"})
    api.post("/v1/customers", {"external_id": "b"})

    refused = api.patch("/v1/customers/b", {"external_id": "a"})

    assert refused.refusal() == (409, "customer-exists")
    assert refused["existing_id"] == first["id"]
    assert api.get("/v1/customers/b")["external_id"] == "b"


def test_patch_moves_the_external_id(api):
    made = api.post("/v1/customers", {"external_id": "before"})

    api.patch("/v1/customers/before", {"external_id": "after"})

    assert api.get("/v1/customer-by-external-id/after")["id"] == made["id"]
    assert api.get("/v1/customer-by-external-id/before").status == 404


def test_delete_hides_and_a_second_delete_is_no_error(api):
    made = api.post("/v1/customers", {"external_id": "a"})

    first = api.delete("/v1/customers/a")
    deleted_at = api.get(f"/v1/customers/{made['id']}")["deleted_at"]
    second = api.delete("/v1/customers/a")

    assert (first.status, first.bytes, second.status) == (204, b"", 204)
    assert deleted_at is not None
    assert api.get(f"/v1/customers/{made['id']}")["deleted_at"] == deleted_at
    assert api.get("/v1/customers")["data"] == []
    assert api.get("/v1/customers?search=a")["data"] == []


def test_the_external_id_of_a_deleted_customer_reaches_it_until_it_is_used_again(api):
    old = api.post("/v1/customers", {"external_id": "a"})
    api.delete("/v1/customers/a")

    assert api.get("/v1/customer-by-external-id/a")["id"] == old["id"]

    new = api.post("/v1/customers", {"external_id": "a"})

    assert new.status == 201
    assert new["id"] != old["id"]
    assert api.get("/v1/customer-by-external-id/a")["id"] == new["id"]
    label = api.get(f"/v1/customers/{old['id']}")
    assert (label["external_id"], label["deleted_at"] is not None) == ("a", True)


def test_the_external_id_of_a_deleted_customer_is_taken_by_post_only(api):
    api.post("/v1/customers", {"external_id": "a"})
    api.delete("/v1/customers/a")
    api.post("/v1/customers", {"external_id": "b"})

    assert api.patch("/v1/customers/b", {"external_id": "a"}).refusal() == (409, "customer-exists")


def test_a_refused_create_takes_no_external_id_over(api):
    old = api.post("/v1/customers", {"external_id": "a"})
    api.delete("/v1/customers/a")
    living = api.post("/v1/customers", {"external_id": "b"})

    refused = api.post("/v1/customers", {"id": living["id"], "external_id": "a"})

    assert refused.status == 409
    assert api.get("/v1/customer-by-external-id/a")["id"] == old["id"]


@pytest.mark.parametrize("path", ["/v1/customers/nobody", "/v1/customer-by-external-id/nobody"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_nobody_is_404(api, path, method):
    assert api.send(method, path, {} if method == "PATCH" else None).refusal() == (404, "customer-not-found")


@pytest.mark.parametrize("reference", ["%00", "a%00b", "x" * 300, "%ff", "%ed%a0%80", "%F0%9F%98%80"])
def test_an_id_that_cannot_exist_is_404(api, reference):
    assert api.get(f"/v1/customers/{reference}").refusal() == (404, "customer-not-found")
    assert api.get(f"/v1/customer-by-external-id/{reference}").refusal() == (404, "customer-not-found")


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ada", ["ada"]),
        ("LOVELACE", ["ada"]),
        ("example.org", ["grace", "ada"]),
        ("hop", ["grace"]),
        ("100%", ["percent_100%"]),
        ("percent_100", ["percent_100%"]),
        ("%", ["percent_100%"]),
        ("_", ["percent_100%"]),
        ("nobody at all", []),
        ("\\", []),
        ("'", []),
    ],
)
def test_search_looks_at_every_name(api, search, found):
    api.post(
        "/v1/customers", {"external_id": "ada", "display_name": "Ada Lovelace", "email": "ada@example.org"}
    )
    api.post("/v1/customers", {"external_id": "grace", "name": "Grace Hopper", "email": "g@example.org"})
    api.post("/v1/customers", {"external_id": "percent_100%"})

    answer = api.get(f"/v1/customers?search={quote(search)}")

    assert [customer["external_id"] for customer in answer["data"]] == found


def test_search_finds_by_id(api):
    made = api.post("/v1/customers", {"external_id": "a"})

    assert [c["id"] for c in api.get(f"/v1/customers?search={made['id']}")["data"]] == [made["id"]]


def test_search_for_a_few_letters_does_not_look_into_ids_of_ours(api):
    made = api.post("/v1/customers", {"external_id": "_"})
    api.post("/v1/customers", {"id": "chosen", "external_id": "__"})

    assert api.get(f"/v1/customers?search={made['id'][:4]}")["data"] == []
    assert [c["id"] for c in api.get(f"/v1/customers?search={made['id'][:13]}")["data"]] == [made["id"]]
    assert [c["id"] for c in api.get("/v1/customers?search=hose")["data"]] == ["chosen"]


def test_filters(api):
    a = api.post("/v1/customers", {"external_id": "a", "email": "A@example.org"})
    b = api.post("/v1/customers", {"external_id": "b", "overage_policy": "allow"})

    def ids(query):
        return [customer["external_id"] for customer in api.get(f"/v1/customers?{query}")["data"]]

    assert ids("external_id=a") == ["a"]
    assert ids("email=a@EXAMPLE.org") == ["a"]
    assert ids("overage_policy=allow") == ["b"]
    assert ids(f"created_after={a['created_at']}") == ["b"]
    assert ids(f"created_before={b['created_at']}") == ["a"]
    assert ids("external_id=nobody") == []


@pytest.mark.parametrize(
    ("query", "field"),
    [("external=a", "external"), ("created_after=yesterday", "created_after"), ("search=%00", "search")],
)
def test_a_bad_filter_is_refused_rather_than_ignored(api, query, field):
    refused = api.get(f"/v1/customers?{query}")

    assert refused.refusal() == (422, "validation-failed")
    assert [error["field"] for error in refused["errors"]] == [field]


def test_every_mutation_is_audited_and_told(api, acme):
    made = api.post("/v1/customers", {"external_id": "a"}, headers={"X-Request-Id": "req-1"})
    api.patch("/v1/customers/a", {"display_name": "A"}, headers={"X-Request-Id": "req-2"})
    api.patch("/v1/customers/a", {"display_name": "A"})  # no change, no record
    api.delete("/v1/customers/a")
    api.delete("/v1/customers/a")

    with environment_scope(acme.test.id):
        records = list(AuditRecord.objects.filter(object_type="customer").order_by("id"))
        events = list(OutboxEvent.objects.order_by("id"))
        customer = Customer.objects.get(public_id=made["id"])
    assert [record.action for record in records] == [
        "customer.created",
        "customer.updated",
        "customer.deleted",
    ]
    assert {record.actor for record in records} == {acme.test.caller.actor}
    assert [record.request_id for record in records[:2]] == ["req-1", "req-2"]
    assert records[1].changes == {"display_name": [None, "A"]}
    assert records[0].address == "127.0.0.1"
    assert {record.customer_id for record in records} == {customer.id}
    assert [(event.event, event.sequence) for event in events] == [
        ("customer.created", 1),
        ("customer.updated", 2),
        ("customer.deleted", 3),
    ]
    assert events[1].payload == {
        "id": events[1].payload["id"],
        "event": "customer.updated",
        "created_at": events[1].payload["created_at"],
        "environment": "test",
        "sequence": 2,
        "customer_id": made["id"],
        "external_customer_id": "a",
        "customer": {"id": made["id"], "external_id": "a", "display_name": "A"},
        "changed": ["display_name"],
    }
    assert events[1].payload["id"].startswith("msg_")
