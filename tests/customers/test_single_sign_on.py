"""Logging in with an OpenID Connect provider: who is let in as whom, and what is not believed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests
from django.conf import LazySettings
from django.test import Client

from config.checks import roles_of_single_sign_on
from config.roles import roles_seed
from customers.gateways.openid_provider import provider_forget
from customers.kernel.database import environment_scope
from customers.models import AuditRecord, User
from customers.services.environments import environment_in_view
from tests.conftest import Character
from tests.customers.openid_provider import CLIENT_ID, CLIENT_SECRET, Key, OpenIDProvider, provider_running
from tests.customers.test_second_factor import CHECK, SET_UP, code_of
from tests.desk import Desk, somebody

BEGIN, ANSWER, LOGIN = (
    "/admin/login/single-sign-on/",
    "/admin/login/single-sign-on/answer/",
    "/admin/login/",
)


@pytest.fixture
def provider(acme: Character, settings: LazySettings) -> Iterator[OpenIDProvider]:
    """Configured, with somebody of the provider's group `billing` at its page."""
    roles_seed()
    provider_forget()
    with provider_running() as running:
        settings.OPENID_ISSUER = running.issuer
        settings.OPENID_NAME = "Keyring"
        settings.OPENID_CLIENT_ID, settings.OPENID_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
        settings.OPENID_ROLES = {"billing": "finance", "helpdesk": "support"}
        running.person = {
            "sub": uuid4().hex,
            "email": f"ann-{uuid4().hex[:8]}@example.com",
            "email_verified": True,
            "given_name": "Ann",
            "groups": ["billing"],
        }
        yield running


class Browser:
    """Somebody who follows links, ours and the provider's."""

    def __init__(self) -> None:
        self.client = Client()

    def answer_of_provider(self, begin: str = BEGIN) -> str:
        page = self.client.get(begin)
        assert page.status_code == 302, page.content
        away = requests.get(page["Location"], allow_redirects=False, timeout=10)
        return "/admin/" + away.headers["Location"].partition("/admin/")[2]

    def log_in(self, begin: str = BEGIN) -> str:
        """Where the whole way ends."""
        return str(self.client.get(self.answer_of_provider(begin))["Location"])

    def refusal(self) -> str:
        """What the login page says after it failed."""
        assert self.log_in().partition("?")[0] == LOGIN
        return self.told()

    def told(self) -> str:
        page = self.client.get(LOGIN)
        assert page.status_code == 200
        assert "_auth_user_id" not in self.client.session
        found: str = page.content.decode()
        return found


@pytest.fixture
def browser() -> Browser:
    return Browser()


def user_of(provider: OpenIDProvider) -> User | None:
    return User.objects.filter(email=provider.person["email"]).first()


def roles_of(user: User | None) -> set[str]:
    assert user is not None
    return {group.name for group in user.groups.all()}


def test_without_a_provider_there_is_no_such_thing(acme: Character) -> None:
    client = Client()

    assert "Sign in with" not in client.get(LOGIN).content.decode()
    assert client.get(BEGIN).status_code == 404
    assert client.get(ANSWER).status_code == 404


def test_somebody_new_with_a_role_gets_a_place_and_the_page_they_wanted(
    provider: OpenIDProvider, browser: Browser
) -> None:
    page = browser.client.get(f"{LOGIN}?next=/admin/customers/customer/").content.decode()
    link = f"{BEGIN}?next=/admin/customers/customer/"
    assert "Sign in with Keyring" in page
    assert link in page

    assert browser.log_in(link) == "/admin/customers/customer/"

    assert browser.client.get("/admin/customers/customer/").status_code == 200
    user = user_of(provider)
    assert user is not None
    assert (user.username, user.first_name) == (provider.person["email"], "Ann")
    assert not user.has_usable_password()
    assert (user.is_staff, user.is_superuser, roles_of(user)) == (True, False, {"finance"})


def test_somebody_who_works_here_is_known_by_a_verified_address_and_then_for_ever(
    provider: OpenIDProvider, browser: Browser
) -> None:
    known = somebody("viewer")
    User.objects.filter(pk=known.pk).update(email=provider.person["email"].upper())

    browser.log_in()

    known.refresh_from_db()
    assert (known.openid_issuer, known.openid_subject) == (provider.issuer, provider.person["sub"])
    # `viewer` is none of the roles that the provider gives.
    assert roles_of(known) == {"viewer", "finance"}
    provider.person |= {"email": "ann@elsewhere.example", "email_verified": False}
    again = Browser()
    assert again.log_in() == "/admin/"
    assert again.client.session["_auth_user_id"] == str(known.pk)


def test_what_the_provider_takes_away_is_gone_with_the_next_login(
    provider: OpenIDProvider, browser: Browser
) -> None:
    browser.log_in()
    provider.person["groups"] = ["helpdesk"]
    Browser().log_in()
    assert roles_of(user_of(provider)) == {"support"}

    provider.person["groups"] = ["kitchen"]

    assert "gives you no role here" in Browser().refusal()
    assert roles_of(user_of(provider)) == set()


def test_roles_within_a_claim_and_details_beside_the_token(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings
) -> None:
    settings.OPENID_ROLE_CLAIM = "realm_access.roles"
    provider.details = {**provider.person, "realm_access": {"roles": ["helpdesk"]}}
    provider.person = {"sub": provider.person["sub"]}

    browser.log_in()

    provider.person = provider.details
    assert roles_of(user_of(provider)) == {"support"}


def test_details_of_somebody_else_are_not_believed(provider: OpenIDProvider, browser: Browser) -> None:
    provider.details = {**provider.person, "sub": "somebody-else"}
    provider.person = {"sub": provider.person["sub"]}

    assert "could not be verified" in browser.refusal()


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"email_verified": False}, "has not verified your e-mail address"),
        ({"email_verified": "true"}, "has not verified your e-mail address"),
        ({"email": None}, "has not verified your e-mail address"),
        ({"groups": ["kitchen"]}, "gives you no role here"),
        ({"groups": None}, "gives you no role here"),
        ({"groups": {"billing": True}}, "gives you no role here"),
    ],
)
def test_somebody_new_needs_a_verified_address_and_a_role(
    provider: OpenIDProvider, browser: Browser, claims: dict[str, Any], said: str
) -> None:
    email = provider.person["email"]
    provider.person |= claims

    assert said in browser.refusal()
    assert not User.objects.filter(email=email).exists()
    assert not User.objects.filter(openid_subject=provider.person["sub"]).exists()


def test_an_unverified_address_is_nobody_here(provider: OpenIDProvider, browser: Browser) -> None:
    owner = somebody("owner")
    User.objects.filter(pk=owner.pk).update(email=provider.person["email"])
    provider.person["email_verified"] = False

    assert "has not verified your e-mail address" in browser.refusal()
    owner.refresh_from_db()
    assert (owner.openid_subject, roles_of(owner)) == ("", {"owner"})


def test_only_addresses_of_the_domains_that_are_let_in(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings
) -> None:
    settings.OPENID_EMAIL_DOMAINS = ["Example.com"]
    assert browser.log_in() == "/admin/"

    settings.OPENID_EMAIL_DOMAINS = ["example.org"]

    # Also for those who are here already.
    assert "Addresses at example.com are not let in here" in Browser().refusal()


def test_whoever_was_deactivated_stays_out(provider: OpenIDProvider, browser: Browser) -> None:
    browser.log_in()
    User.objects.filter(email=provider.person["email"]).update(is_active=False)

    assert "Your access here has been taken away" in Browser().refusal()


def test_a_deactivated_address_is_not_linked_and_makes_nobody_new(
    provider: OpenIDProvider, browser: Browser
) -> None:
    gone = somebody("support")
    User.objects.filter(pk=gone.pk).update(email=provider.person["email"], is_active=False)

    assert "Your access here has been taken away" in browser.refusal()
    gone.refresh_from_db()
    assert (gone.openid_subject, roles_of(gone)) == ("", {"support"})
    assert User.objects.filter(email=provider.person["email"]).count() == 1


def test_an_address_of_two_people_is_neither(provider: OpenIDProvider, browser: Browser) -> None:
    for person in (somebody("support"), somebody("owner")):
        User.objects.filter(pk=person.pk).update(email=provider.person["email"])

    assert "Several people here have your e-mail address" in browser.refusal()


def test_another_account_with_a_linked_address_is_somebody_else(
    provider: OpenIDProvider, browser: Browser
) -> None:
    browser.log_in()
    provider.person["sub"] = uuid4().hex

    assert "belongs to another account of Keyring" in Browser().refusal()


def test_an_owner_takes_the_link_away_and_cannot_put_it_on(
    provider: OpenIDProvider, browser: Browser, acme: Character
) -> None:
    browser.log_in()
    user = user_of(provider)
    assert user is not None
    owner = Desk(somebody("owner"), acme.test)
    page = f"/admin/customers/user/{user.pk}/change/"
    form = {"username": user.username, "email": user.email, "is_active": "on", "is_staff": "on"}
    assert "Linked to an account" in owner.open(page)

    assert owner.client.post(page, form).status_code == 302

    user.refresh_from_db()
    assert (user.openid_issuer, user.openid_subject) == ("", "")
    assert "Linked to an account" not in owner.open(page)
    owner.client.post(page, {**form, "is_linked": "on"})
    user.refresh_from_db()
    assert user.openid_subject == ""


# --- What is not believed


def _with_header(header: dict[str, Any], claims: dict[str, Any]) -> str:
    parts = (json.dumps(each).encode() for each in (header, claims))
    return ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts)


def unsigned(provider: OpenIDProvider, claims: dict[str, Any]) -> str:
    return _with_header({"alg": "none"}, claims) + "."


def signed_with_what_everybody_knows(provider: OpenIDProvider, claims: dict[str, Any]) -> str:
    """HS256 with the published key as the secret."""
    signing = _with_header({"alg": "HS256", "kid": provider.key.kid}, claims)
    secret = json.dumps(provider.key.public).encode()
    signature = hmac.digest(secret, signing.encode(), hashlib.sha256)
    return f"{signing}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def signed_by_another(provider: OpenIDProvider, claims: dict[str, Any]) -> str:
    return Key(provider.key.kid).signed(claims)


def changed(**claims: Any) -> Callable[[OpenIDProvider, dict[str, Any]], str]:
    return lambda provider, was: provider.key.signed({**was, **claims})


def without(name: str) -> Callable[[OpenIDProvider, dict[str, Any]], str]:
    return lambda provider, was: provider.key.signed({key: was[key] for key in was if key != name})


LIES: dict[str, Callable[[OpenIDProvider, dict[str, Any]], str]] = {
    "no signature": unsigned,
    "HS256 with the public key": signed_with_what_everybody_knows,
    "another's key under the same name": signed_by_another,
    "another nonce": changed(nonce="of-another-login"),
    "no nonce": without("nonce"),
    "a list of nonces": lambda provider, was: provider.key.signed({**was, "nonce": [was["nonce"]]}),
    "for another client": changed(aud="somebody-else"),
    "for several, asked by another": changed(aud=[CLIENT_ID, "other"], azp="other"),
    "for several, asked by nobody": changed(aud=[CLIENT_ID, "other"]),
    "another issuer": changed(iss="https://evil.example"),
    "expired": changed(iat=int(time.time()) - 900, exp=int(time.time()) - 300),
    "no end": without("exp"),
    "made in the future": changed(iat=int(time.time()) + 3600),
    "no subject": without("sub"),
    "no text": lambda _provider, _was: "not.a.token",
    "nothing": lambda _provider, _was: "",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_proves_nothing_logs_nobody_in(
    provider: OpenIDProvider, browser: Browser, lie: str
) -> None:
    provider.token = lambda claims: LIES[lie](provider, claims)

    assert "What Keyring answered could not be verified" in browser.refusal()
    assert user_of(provider) is None


def test_a_clock_that_is_half_a_minute_off_does_no_harm(provider: OpenIDProvider, browser: Browser) -> None:
    now = int(time.time())
    provider.person |= {"iat": now + 30, "exp": now - 30}

    assert browser.log_in() == "/admin/"


def test_a_state_is_good_for_one_answer_in_one_browser(provider: OpenIDProvider, browser: Browser) -> None:
    answer = browser.answer_of_provider()
    stranger = Browser()

    stranger.client.get(answer)
    assert "did not begin in this browser" in stranger.told()
    assert browser.client.get(answer)["Location"] == "/admin/"
    browser.client.logout()
    assert browser.client.get(answer)["Location"] == LOGIN
    assert "did not begin in this browser" in browser.told()


def test_a_login_that_lies_about_for_long_is_over(provider: OpenIDProvider, browser: Browser) -> None:
    answer = browser.answer_of_provider()
    session = browser.client.session
    for begun in session["single_sign_on"].values():
        begun["began_at"] -= 601
    session.save()

    browser.client.get(answer)

    assert "took too long" in browser.told()
    assert provider.codes, "the code was not even used"


def test_two_tabs_do_not_disturb_each_other(provider: OpenIDProvider, browser: Browser) -> None:
    first, second = browser.answer_of_provider(), browser.answer_of_provider()

    assert browser.client.get(first)["Location"] == "/admin/"
    assert browser.client.get(second)["Location"] == "/admin/"


def test_somebody_who_turns_back_at_the_provider_is_told_so(
    provider: OpenIDProvider, browser: Browser
) -> None:
    state = browser.answer_of_provider().partition("state=")[2]

    browser.client.get(f"{ANSWER}?error=access_denied&state={state}")

    assert "Keyring did not let you in" in browser.told()


def test_an_answer_that_names_another_issuer_is_not_followed(
    provider: OpenIDProvider, browser: Browser
) -> None:
    browser.client.get(f"{browser.answer_of_provider()}&iss=https%3A%2F%2Fevil.example")

    assert "could not be verified" in browser.told()
    assert provider.codes, "the code was not even used"


def test_nobody_is_sent_elsewhere_afterwards(provider: OpenIDProvider, browser: Browser) -> None:
    assert browser.log_in(f"{BEGIN}?next=https://evil.example/admin/") == "/admin/"


def test_new_keys_are_fetched_when_they_are_needed_and_kept_otherwise(
    provider: OpenIDProvider, browser: Browser
) -> None:
    browser.log_in()
    Browser().log_in()
    assert provider.asked.count("/keys") == 1

    provider.key = Key("second")

    assert Browser().log_in() == "/admin/"
    assert provider.asked.count("/keys") == 2


def test_while_the_provider_is_down_the_page_says_so_and_passwords_work(
    provider: OpenIDProvider, browser: Browser
) -> None:
    provider.is_down = True
    user = somebody("support")
    user.set_password("correct horse")
    user.save()

    assert browser.client.get(BEGIN)["Location"].partition("?")[0] == LOGIN
    page = browser.told()
    assert "Keyring does not answer at the moment" in page
    assert 'name="password"' in page
    answer = browser.client.post(LOGIN, {"username": user.username, "password": "correct horse"})
    assert answer.status_code == 302


def test_it_may_go_down_between_the_page_and_the_answer(provider: OpenIDProvider, browser: Browser) -> None:
    answer = browser.answer_of_provider()
    provider.is_down = True

    browser.client.get(answer)

    assert "Keyring does not answer at the moment" in browser.told()


def test_a_provider_that_calls_itself_something_else_is_not_used(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings
) -> None:
    settings.OPENID_ISSUER = provider.issuer.replace("127.0.0.1", "localhost")

    browser.client.get(BEGIN)

    assert "does not answer" in browser.told()


def test_a_provider_is_not_asked_over_plain_http(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings
) -> None:
    settings.OPENID_ISSUER = "http://keyring.example"

    browser.client.get(BEGIN)

    assert "does not answer" in browser.told()


# --- Second factor, lockout, record


def with_second_factor(provider: OpenIDProvider, browser: Browser, acme: Character) -> User:
    browser.log_in()
    browser.client.get(SET_UP)
    user = user_of(provider)
    assert user is not None
    assert browser.client.post(SET_UP, {"code": code_of(user)}).status_code == 200
    return user


def test_our_second_factor_is_asked_for_unless_the_provider_has_asked(
    provider: OpenIDProvider, browser: Browser, acme: Character, settings: LazySettings
) -> None:
    settings.OPENID_TRUST_SECOND_FACTOR = True
    with_second_factor(provider, browser, acme)

    once = Browser()
    once.log_in()
    assert once.client.get("/admin/")["Location"].partition("?")[0] == CHECK
    provider.person["amr"] = ["pwd", "mfa"]
    twice = Browser()
    twice.log_in()
    assert twice.client.get("/admin/").status_code == 200
    settings.OPENID_TRUST_SECOND_FACTOR = False
    unbelieved = Browser()
    unbelieved.log_in()
    assert unbelieved.client.get("/admin/")["Location"].partition("?")[0] == CHECK


def test_where_one_is_required_the_providers_will_do(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings
) -> None:
    settings.SECOND_FACTOR_REQUIRED = settings.OPENID_TRUST_SECOND_FACTOR = True
    browser.log_in()
    assert browser.client.get("/admin/")["Location"].partition("?")[0] == SET_UP
    provider.person["amr"] = ["mfa"]

    again = Browser()
    again.log_in()

    assert again.client.get("/admin/").status_code == 200


def test_whoever_fails_too_often_waits(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings
) -> None:
    settings.AXES_FAILURE_LIMIT = 3
    provider.person["groups"] = ["kitchen"]
    for _ in range(3):
        browser.client.get(browser.answer_of_provider())
    provider.person["groups"] = ["billing"]

    assert "Too many logins failed. Try again in 15 minutes." in Browser().refusal()
    # Not so others.
    provider.person |= {"sub": uuid4().hex, "email": f"bob-{uuid4().hex[:8]}@example.com"}
    assert Browser().log_in() == "/admin/"


def test_logins_and_refusals_are_on_the_record(
    provider: OpenIDProvider, browser: Browser, acme: Character
) -> None:
    email = provider.person["email"]
    provider.person["groups"] = ["kitchen"]
    browser.refusal()
    provider.person["groups"] = ["billing"]
    browser.log_in()

    environment = environment_in_view({})
    assert environment is not None
    with environment_scope(environment.id):
        records = list(AuditRecord.objects.filter(object_id=email).order_by("id"))
    assert [(each.actor, each.action, each.reason) for each in records] == [
        (
            "system:login",
            "login.refused",
            "Your account at Keyring gives you no role here. Ask whoever manages it.",
        ),
        (f"user:{email}", "login.single_sign_on", ""),
    ]
    assert records[1].changes == {
        "issuer": [None, provider.issuer],
        "subject": [None, provider.person["sub"]],
        "person": [None, "made"],
    }


def test_nobodys_second_factor_is_believed_unless_somebody_says_so(
    provider: OpenIDProvider, browser: Browser, acme: Character
) -> None:
    with_second_factor(provider, browser, acme)
    provider.person["amr"] = ["pwd", "mfa"]

    again = Browser()
    again.log_in()

    assert again.client.get("/admin/")["Location"].partition("?")[0] == CHECK


def test_a_role_that_is_not_here_is_told_of(
    provider: OpenIDProvider, browser: Browser, settings: LazySettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OPENID_ROLES = {"billing": "financ", "helpdesk": "support"}

    browser.log_in()

    (said,) = [record for record in caplog.records if "roles that are not here" in record.message]
    assert said.levelname == "ERROR"
    assert said.__dict__["roles"] == ["financ"]
    assert [(message.id, "'financ'" in message.msg) for message in roles_of_single_sign_on()] == [
        ("purser.W001", True)
    ]
    settings.OPENID_ROLES = {"helpdesk": "support"}
    assert roles_of_single_sign_on() == []
