"""API keys: who a secret is, what it may do, how it is issued and dies."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from customers.kernel.clock import system_now
from customers.kernel.database import environment_scope
from customers.models import ApiKey, AuditRecord, IdempotencyRecord
from customers.services.api_keys import SCOPES, api_key_issue, api_key_revoke
from customers.services.authentication import authentication_forget, key_authenticate
from tests.conftest import Api

UNKNOWN = "sk_test_" + "a" * 44


def issue(world, **options):
    with environment_scope(world.id):
        return api_key_issue(caller=world.caller, name="Another", now=system_now(), **options)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": UNKNOWN},
        {"X-API-Key": ""},
        {"X-API-Key": "sk_live_é"},
        {"X-API-Key": "x" * 5000},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {UNKNOWN}"},
        {"Authorization": "Basic dXNlcjpwYXNz"},
    ],
)
def test_without_a_valid_key_401(api, headers):
    answer = api.get("/v1/customers", key="", headers=headers)

    assert answer.refusal() == (401, "not-authenticated")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Purser"'


def test_both_headers_mean_the_same(api, acme):
    api.post("/v1/customers", {"external_id": "a"})

    by_header = api.get("/v1/customers", key=acme.test.secret)
    by_bearer = api.get("/v1/customers", key="", bearer=acme.test.secret)
    by_both = api.get("/v1/customers", key=acme.test.secret, bearer=acme.test.secret)

    assert by_header.json == by_bearer.json == by_both.json
    assert len(by_header["data"]) == 1


def test_two_different_keys_in_one_call_are_refused(api, acme):
    answer = api.get("/v1/customers", key=acme.test.secret, bearer=acme.live.secret)

    assert answer.refusal() == (401, "not-authenticated")


def test_the_key_selects_tenant_and_environment(acme, rival):
    worlds = [acme.live, acme.test, rival.live, rival.test]
    made = [Api(world.secret).post("/v1/customers", {"external_id": "same"}) for world in worlds]

    assert [answer.status for answer in made] == [201, 201, 201, 201]
    for world, own in zip(worlds, made, strict=True):
        backend = Api(world.secret)
        assert [c["id"] for c in backend.get("/v1/customers")["data"]] == [own["id"]]
        for other in made:
            assert backend.get(f"/v1/customers/{other['id']}").status == (200 if other is own else 404)


def test_a_revoked_key_is_refused_at_once(acme):
    issued = issue(acme.test)
    backend = Api(issued.secret)
    assert backend.get("/v1/customers").status == 200

    with environment_scope(acme.test.id):
        api_key_revoke(caller=acme.test.caller, key_id=issued.key.id, now=system_now())

    answer = backend.get("/v1/customers")
    assert answer.refusal() == (401, "not-authenticated")
    assert answer["detail"] == "The API key was revoked."


def test_a_revoked_key_is_refused_on_the_hot_path_too(acme):
    issued = issue(acme.test)
    backend = Api(issued.secret)
    path = "/v1/customers/nobody/credits"
    assert backend.get(path).status == 404

    with environment_scope(acme.test.id):
        api_key_revoke(caller=acme.test.caller, key_id=issued.key.id, now=system_now())

    assert backend.get(path).refusal() == (401, "not-authenticated")


def test_another_process_forgets_a_revoked_key_in_seconds(acme, superuser_sql, settings):
    settings.API_KEY_CACHE_SECONDS = 0
    authentication_forget()
    issued = issue(acme.test)
    now = system_now()
    assert key_authenticate(secret=issued.secret, now=now).id == issued.key.id

    # As another process would: without telling this one.
    superuser_sql.execute("UPDATE customers_api_key SET revoked_at = now() WHERE id = %s", [issued.key.id])

    assert Api(issued.secret).get("/v1/customers/nobody/credits").status == 401


def test_an_expired_key_is_refused(acme):
    now = system_now()
    issued = issue(acme.test, expires_at=now + timedelta(seconds=60))
    assert Api(issued.secret).get("/v1/customers").status == 200

    with environment_scope(acme.test.id):
        ApiKey.objects.filter(id=issued.key.id).update(expires_at=now)

    answer = Api(issued.secret).get("/v1/customers")
    assert answer.refusal() == (401, "not-authenticated")
    assert answer["detail"] == "The API key has expired."


def test_reading_and_writing_are_separate_scopes(acme):
    reader = Api(issue(acme.test, scopes=["customers:read"]).secret)
    writer = Api(issue(acme.test, scopes=["customers:write"]).secret)

    refused = reader.post("/v1/customers", {"external_id": "a"})
    assert refused.refusal() == (403, "scope-missing")
    assert refused["scope"] == "customers:write"
    assert reader.get("/v1/customers").status == 200
    assert writer.post("/v1/customers", {"external_id": "a"}).status == 201
    assert writer.get("/v1/customers").refusal() == (403, "scope-missing")
    assert reader.get("/v1/api-keys").refusal() == (403, "scope-missing")


def test_issue_list_get_and_revoke(api, acme):
    made = api.post("/v1/api-keys", {"name": "Ingest", "scopes": ["usage:write"]})

    assert made.status == 201
    assert re.fullmatch(r"sk_test_[A-Za-z0-9_]{43,}", made["secret"])
    assert made["hint"] == f"sk_test_…{made['secret'][-4:]}"
    assert made["scopes"] == ["usage:write"]
    shown = {name: value for name, value in made.json.items() if name != "secret"}
    assert api.get(f"/v1/api-keys/{made['id']}").json == shown
    listed = api.get("/v1/api-keys")["data"]
    assert [key["name"] for key in listed] == ["Ingest", "First key"]
    assert all("secret" not in key for key in listed)
    assert Api(made["secret"]).get("/v1/customers").refusal() == (403, "scope-missing")

    revoked = api.post(f"/v1/api-keys/{made['id']}/revoke")
    again = api.post(f"/v1/api-keys/{made['id']}/revoke")

    assert (revoked.status, again.status) == (200, 200)
    assert revoked["revoked_at"] == again["revoked_at"] is not None
    assert Api(made["secret"]).get("/v1/customers").status == 401


def test_the_admin_path_is_the_same_resource(api):
    made = api.post("/v1/admin/api-keys", {"name": "Second"})

    assert api.get(f"/v1/api-keys/{made['id']}")["name"] == "Second"
    assert api.post(f"/v1/admin/api-keys/{made['id']}/revoke").status == 200


def test_a_key_gives_no_wider_scopes_than_its_own(acme):
    narrow = Api(issue(acme.test, scopes=["keys:write", "customers:read"]).secret)

    assert narrow.post("/v1/api-keys", {"name": "a", "scopes": ["credits:write"]}).refusal() == (
        403,
        "scope-missing",
    )
    assert narrow.post("/v1/api-keys", {"name": "b", "scopes": ["customers:read"]})["scopes"] == [
        "customers:read"
    ]
    # None named = all one can give, not everything.
    assert narrow.post("/v1/api-keys", {"name": "c"})["scopes"] == ["customers:read", "keys:write"]
    assert narrow.post("/v1/api-keys", {"name": "d", "scopes": []})["scopes"] == [
        "customers:read",
        "keys:write",
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "a", "scopes": ["everything"]}, "scopes.0"),
        ({"name": "a", "scopes": "usage:write"}, "scopes"),
        ({"name": "a", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-01-01"}, "expires_at"),
        ({"name": "a", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "a", "expires_at": 1893456000}, "expires_at"),
    ],
)
def test_a_bad_key_is_refused(api, body, field):
    refused = api.post("/v1/api-keys", body)

    assert refused.refusal() == (422, "validation-failed")
    assert [error["field"] for error in refused["errors"]] == [field]


@pytest.mark.parametrize(
    "key_id", ["nothing", "key_7zzzzzzzzzzzzzzzzzzzzzzzzz", "msg_01jzgd2kq8e5rtx3m9v7c4b6na", "key_%00"]
)
def test_an_unknown_key_is_404(api, key_id):
    assert api.get(f"/v1/api-keys/{key_id}").refusal() == (404, "not-found")
    assert api.post(f"/v1/api-keys/{key_id}/revoke").refusal() == (404, "not-found")


def test_another_environments_key_is_404(api, acme, rival):
    for world in (acme.live, rival.test):
        from_there = world.caller.actor.removeprefix("key:")
        assert api.get(f"/v1/api-keys/{from_there}").status == 404
        assert api.post(f"/v1/api-keys/{from_there}/revoke").status == 404
        assert Api(world.secret).get("/v1/customers").status == 200


def test_only_a_hash_is_stored_also_of_an_idempotent_answer(api, acme, superuser_sql):
    made = api.post("/v1/api-keys", {"name": "Once"}, idempotency_key="k1")
    again = api.post("/v1/api-keys", {"name": "Once"}, idempotency_key="k1")

    assert made["secret"].startswith("sk_test_")
    assert (again.status, again["id"], again["secret"], again["duplicate"]) == (201, made["id"], None, True)
    assert again.headers["X-Idempotent-Replayed"] == "true"
    with environment_scope(acme.test.id):
        assert IdempotencyRecord.objects.get(key="k1").body is None
        assert ApiKey.objects.filter(name="Once").count() == 1
    secret = made["secret"].removeprefix("sk_test_").encode()
    for table in (
        "customers_api_key",
        "customers_audit_record",
        "customers_idempotency_record",
        "customers_outbox_event",
    ):
        rows = superuser_sql.execute(f"SELECT t::text FROM {table} t").fetchall()
        assert not any(secret in row[0].encode() or secret.hex() in row[0] for row in rows)


def test_issue_and_revoke_are_audited(api, acme):
    made = api.post("/v1/api-keys", {"name": "Seen"})
    api.post(f"/v1/api-keys/{made['id']}/revoke")

    with environment_scope(acme.test.id):
        actions = list(
            AuditRecord.objects.filter(object_id=made["id"]).order_by("id").values_list("action", "actor")
        )
    assert actions == [
        ("api_key.issued", acme.test.caller.actor),
        ("api_key.revoked", acme.test.caller.actor),
    ]


def test_last_used_at_is_noted_at_most_once_a_minute(api, acme):
    def last_used():
        with environment_scope(acme.test.id):
            return ApiKey.objects.get(id=acme.test.key_id).last_used_at

    assert last_used() is None
    api.get("/v1/customers")
    first = last_used()
    api.get("/v1/customers")
    assert first is not None
    assert last_used() == first

    with environment_scope(acme.test.id):
        ApiKey.objects.update(last_used_at=first - timedelta(minutes=2))
    api.get("/v1/customers")
    assert last_used() > first


def test_the_scopes_are_those_of_the_documentation():
    assert len(SCOPES) == 18
    assert "customers:read" in SCOPES
    assert "keys:write" in SCOPES
