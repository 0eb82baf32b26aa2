"""A second factor: set up by oneself, asked for at each login, taken away when a phone is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from config.sessions import IdleSessionMiddleware
from customers.models import User
from tests.conftest import Character
from tests.desk import Desk, somebody

STANDING, SET_UP, CHECK = (
    "/admin/customers/user/second-factor/",
    "/admin/customers/user/second-factor/set-up/",
    "/admin/customers/user/second-factor/check/",
)


def code_of(user: User, *, steps: int = 0) -> str:
    """What the authenticator shows now, or so many half minutes later: a code is good once."""
    device = TOTPDevice.objects.get(user=user)
    return f"{totp(device.bin_key, drift=steps):06d}"


@pytest.fixture
def desk(acme: Character) -> Desk:
    return Desk(somebody("support"), acme.test)


@pytest.fixture
def codes(desk: Desk) -> list[str]:
    """Recovery codes of somebody who has set it up."""
    desk.open(SET_UP)
    page = desk.client.post(SET_UP, {"code": code_of(desk.user)}).content.decode()
    return re.findall(r"<li><code>(\w{10})</code></li>", page)


def time_passes(user: User) -> None:
    """Guesses are not slowed down any more."""
    for kind in (TOTPDevice, StaticDevice):
        kind.objects.filter(user=user).update(throttling_failure_count=0, throttling_failure_timestamp=None)


def logged_in_again(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_it_is_off_until_the_app_shows_the_right_code(desk: Desk) -> None:
    page = desk.open(SET_UP)
    assert "data:image/svg+xml" in page

    refused = desk.client.post(SET_UP, {"code": "000000"}).content.decode()

    assert "not the code of this moment" in refused
    assert not User.objects.get(pk=desk.user.pk).has_second_factor


def test_setting_it_up_shows_ten_recovery_codes_and_goes_on(desk: Desk, codes: list[str]) -> None:
    assert len(set(codes)) == 10
    assert User.objects.get(pk=desk.user.pk).has_second_factor
    assert "10 recovery codes left" in desk.open(STANDING)


def test_a_password_alone_opens_no_page(desk: Desk, codes: list[str]) -> None:
    client = logged_in_again(desk.user)

    for page in ("/admin/", "/admin/customers/customer/", STANDING, SET_UP):
        answer = client.get(page)
        assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, CHECK), page
    assert client.post(STANDING, {"deed": "remove", "code": "x"}).status_code == 302
    assert client.get(CHECK).status_code == 200


def test_the_apps_code_leads_to_where_one_wanted(desk: Desk, codes: list[str]) -> None:
    client = logged_in_again(desk.user)
    wanted = "/admin/customers/customer/?q=ada"

    wrong = client.post(CHECK, {"code": codes[0][:-1], "next": wanted})
    time_passes(desk.user)
    right = client.post(CHECK, {"code": code_of(desk.user, steps=1), "next": wanted})

    assert (wrong.status_code, right.status_code, right["Location"]) == (200, 302, wanted)
    assert client.get(wanted).status_code == 200


def test_a_recovery_code_is_good_once(desk: Desk, codes: list[str]) -> None:
    first, second = logged_in_again(desk.user), logged_in_again(desk.user)

    assert first.post(CHECK, {"code": codes[3].upper()}).status_code == 302
    assert second.post(CHECK, {"code": codes[3]}).status_code == 200
    assert second.get("/admin/").status_code == 302


def test_guesses_are_slowed_down(desk: Desk, codes: list[str]) -> None:
    client = logged_in_again(desk.user)
    client.post(CHECK, {"code": "000000"})

    assert client.post(CHECK, {"code": code_of(desk.user, steps=1)}).status_code == 200


def test_where_one_wanted_is_never_another_host(desk: Desk, codes: list[str]) -> None:
    for number, elsewhere in enumerate(("https://evil.example/admin/", "//evil.example", "/v1/customers")):
        client = logged_in_again(desk.user)
        answer = client.post(CHECK, {"code": codes[number], "next": elsewhere})
        assert answer["Location"] == "/admin/", elsewhere


def test_it_is_turned_off_with_a_code_only(desk: Desk, codes: list[str]) -> None:
    desk.client.post(STANDING, {"deed": "remove", "code": "nonsense"})
    assert User.objects.get(pk=desk.user.pk).has_second_factor
    time_passes(desk.user)

    desk.client.post(STANDING, {"deed": "remove", "code": codes[0]})

    assert not User.objects.get(pk=desk.user.pk).has_second_factor
    assert not TOTPDevice.objects.filter(user=desk.user).exists()
    assert logged_in_again(desk.user).get("/admin/").status_code == 200


def test_new_recovery_codes_end_the_old_ones(desk: Desk, codes: list[str]) -> None:
    page = desk.client.post(STANDING, {"deed": "codes", "code": codes[0]}).content.decode()
    fresh = re.findall(r"<li><code>(\w{10})</code></li>", page)

    assert len(fresh) == 10
    assert logged_in_again(desk.user).post(CHECK, {"code": codes[1]}).status_code == 200
    time_passes(desk.user)
    assert logged_in_again(desk.user).post(CHECK, {"code": fresh[1]}).status_code == 302


def test_where_it_is_required_nobody_goes_on_without(desk: Desk, settings: LazySettings) -> None:
    settings.SECOND_FACTOR_REQUIRED = True

    assert desk.client.get("/admin/")["Location"].partition("?")[0] == SET_UP
    desk.open(SET_UP)
    desk.client.post(SET_UP, {"code": code_of(desk.user)})
    assert desk.client.get("/admin/").status_code == 200


def test_an_owner_takes_it_away_when_a_phone_is_lost_and_cannot_put_it_on(
    desk: Desk, codes: list[str], acme: Character
) -> None:
    owner = Desk(somebody("owner"), acme.test)
    page = f"/admin/customers/user/{desk.user.pk}/change/"
    form: dict[str, Any] = {"username": desk.user.username, "is_active": "on", "is_staff": "on", "email": ""}

    assert owner.client.post(page, form).status_code == 302
    assert not User.objects.get(pk=desk.user.pk).has_second_factor
    assert not TOTPDevice.objects.filter(user=desk.user).exists()
    assert owner.client.post(page, {**form, "has_second_factor": "on"}).status_code == 200
    assert not User.objects.get(pk=desk.user.pk).has_second_factor


def test_an_idle_session_ends(desk: Desk, settings: LazySettings) -> None:
    desk.open("/admin/")
    session = desk.client.session
    session[IdleSessionMiddleware._SEEN] -= settings.SESSION_IDLE_SECONDS + 1
    session.save()

    answer = desk.client.get("/admin/")

    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/admin/login/")
