"""Keys, tenants and people in the admin."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Group

from config.roles import ROLES
from customers.kernel.database import environment_scope
from customers.models import ApiKey, Tenant, User
from tests.conftest import Api
from tests.desk import Desk, somebody

KEYS = "/admin/customers/apikey/"


@pytest.fixture
def desk(acme, operator):
    return Desk(operator, acme.test)


def secret_in(page):
    found = re.search(r"sk_(?:test|live)_[A-Za-z0-9]{44}", page)
    return found[0] if found else None


def test_a_key_is_shown_once(desk, acme):
    path = f"{KEYS}add/"
    token, data = desk.token(path), {"name": "Backend", "scopes": ["customers:read"]}

    first = desk.send(path, data, token=token)
    again = desk.send(path, data, token=token, follow=True)

    secret = secret_in(first.content.decode())
    assert secret is not None
    assert "no-store" in first["Cache-Control"]
    assert "sent twice" in again.content.decode()
    assert secret_in(again.content.decode()) is None
    assert Api(secret).get("/v1/customers").status == 200
    assert Api(secret).post("/v1/customers", {"external_id": "x"}).refusal() == (403, "scope-missing")
    with environment_scope(acme.test.id):
        key = ApiKey.objects.get(name="Backend")
    assert secret not in desk.open(KEYS)
    assert secret not in desk.open(f"{KEYS}{key.public_id}/change/")


def test_a_revoked_key_opens_nothing(desk, acme):
    page = desk.send(f"{KEYS}add/", {"name": "Backend"}).content.decode()
    secret = secret_in(page)
    with environment_scope(acme.test.id):
        key = ApiKey.objects.get(name="Backend")

    answer = desk.send(f"{KEYS}{key.public_id}/revoke/", {"reason": "Leaked"})

    assert answer.status_code == 302
    assert Api(secret).get("/v1/customers").status == 401
    assert "Revoked" in desk.open(f"{KEYS}{key.public_id}/change/")


def test_revoking_needs_a_reason_and_a_permission(acme, desk):
    with environment_scope(acme.test.id):
        key = ApiKey.objects.get()
    path = f"{KEYS}{key.public_id}/revoke/"

    assert desk.send(path, {"reason": ""}).status_code == 422
    Desk(somebody("support"), acme.test).open(path, status=403)
    Desk(somebody("support"), acme.test).open(f"{KEYS}add/", status=403)
    assert Api(acme.test.secret).get("/v1/customers").status == 200


def test_keys_of_another_environment_are_not_there(desk, acme, rival):
    with environment_scope(rival.test.id):
        key = ApiKey.objects.get()

    desk.open(f"{KEYS}{key.public_id}/change/", status=404)
    desk.open(f"{KEYS}{key.public_id}/revoke/", status=404)


def test_a_new_tenant_shows_both_keys_once(desk):
    name = f"Fresh {desk.user.username}"

    page = desk.send("/admin/customers/tenant/add/", {"name": name}).content.decode()

    assert {found.split("_")[1] for found in re.findall(r"sk_(?:test|live)_\w{44}", page)} == {"test", "live"}
    assert Tenant.objects.filter(name=name).count() == 1


def test_a_tenants_name_is_taken_once(desk, rival):
    answer = desk.send("/admin/customers/tenant/add/", {"name": rival.tenant.name})

    assert answer.status_code == 422
    assert "There is a tenant named" in answer.content.decode()


def test_the_environment_in_view_is_unmistakable(desk, acme):
    page = desk.open("/admin/")
    assert f"test · {acme.tenant.name}" in page
    assert "purser/test.css" in page

    desk.look_at(acme.live)

    page = desk.open("/admin/")
    assert f"live · {acme.tenant.name}" in page
    assert "purser/live.css" in page


def test_the_environment_changes_by_post_only(desk, acme):
    assert acme.tenant.name in desk.open(f"/admin/environment/?environment={acme.live.id}")
    assert f"test · {acme.tenant.name}" in desk.open("/admin/")
    assert desk.client.post("/admin/environment/", {"environment": "nonsense"}).status_code == 404


def test_roles_are_what_the_code_says():
    somebody("viewer")

    for name, permissions in ROLES.items():
        group = Group.objects.get(name=name)
        held = {
            f"{one.content_type.app_label}.{one.codename}"
            for one in group.permissions.select_related("content_type")
        }
        assert held == set(permissions)


def test_only_a_superuser_touches_a_superuser(acme, operator):
    desk = Desk(somebody("owner"), acme.test)
    page = f"/admin/customers/user/{operator.pk}/"

    answer = desk.client.post(f"{page}change/", {"username": "taken-over", "is_staff": "on"})
    password = desk.client.post(
        f"{page}password/", {"password1": "new-Pass-1234", "password2": "new-Pass-1234"}
    )

    assert (answer.status_code, password.status_code) == (403, 403)
    assert User.objects.get(pk=operator.pk).username == operator.username


def test_an_owner_cannot_make_a_superuser(acme):
    desk, colleague = Desk(somebody("owner"), acme.test), somebody("viewer")
    page = desk.open(f"/admin/customers/user/{colleague.pk}/change/")
    assert "is_superuser" not in page

    data = {"username": colleague.username, "is_staff": "on", "is_active": "on", "is_superuser": "on"}
    desk.client.post(f"/admin/customers/user/{colleague.pk}/change/", data)

    assert User.objects.get(pk=colleague.pk).is_superuser is False


def test_nobody_is_deleted(desk, operator):
    assert (
        desk.client.post(f"/admin/customers/user/{operator.pk}/delete/", {"post": "yes"}).status_code == 403
    )


def test_ten_wrong_passwords_lock_the_login(client, operator):
    wrong = {"username": operator.username, "password": "wrong"}
    answers = [client.post("/admin/login/", wrong).status_code for _ in range(10)]

    right = client.post(
        "/admin/login/", {"username": operator.username, "password": "correct horse battery staple"}
    )

    assert answers[-1] == 429
    assert right.status_code == 429
    assert "Too many failed logins" in right.content.decode()
