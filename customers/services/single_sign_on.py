"""Logging in with an OpenID Connect provider: authorization code with PKCE, state and nonce (docs/single-sign-on.md).

Whom the provider vouches for is looked up by the provider's own id for the person; the first time by an e-mail address
that it has verified. By the wall clock: an identity belongs to no environment.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction

from customers.engine.id_token import KeyUnknown, TokenRefused, id_token_read
from customers.gateways.openid_provider import (
    ProviderRefused,
    ProviderUnreachable,
    address_check,
    code_exchange,
    person_details,
    provider_document,
    provider_keys,
)
from customers.models import User

#: How long somebody may take at the provider.
BEGUN_SECONDS: Final = 600
_USERNAME_MAX: Final = 150

_log: Final = logging.getLogger("purser.login")


class SignInRefused(Exception):
    """Nobody is logged in. The message is for the person, `detail` for the log; `person` says who it was, if known."""

    #: Whether it goes on the record, and counts as a failed login of the person: enough of those lock it.
    counts: ClassVar[bool] = True

    def __init__(self, message: str, *, detail: str = "", person: str = "") -> None:
        super().__init__(message)
        self.detail = detail or message
        self.person = person


class ProviderDown(SignInRefused):
    """Nobody did anything wrong."""

    counts = False


class LockedOut(SignInRefused):
    """It failed too often: what is tried now does not count, or the lock would never open."""

    counts = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where people log in, and what of it is believed."""

    name: str
    issuer: str
    client_id: str
    client_secret: str
    scopes: str
    email_domains: frozenset[str]
    role_claim: str
    roles: Mapping[str, str]
    is_second_factor_trusted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A login under way, kept in the session until the provider answers."""

    state: str
    nonce: str
    verifier: str
    began_at: int
    return_to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    user: User
    #: What this login made of the person: `made`, `linked`, or nothing.
    novelty: str
    has_second_factor: bool


def provider_configured() -> Provider | None:
    """The provider of the settings, or None: then there are passwords only."""
    if not settings.OPENID_ISSUER:
        return None
    return Provider(
        name=settings.OPENID_NAME,
        issuer=settings.OPENID_ISSUER,
        client_id=settings.OPENID_CLIENT_ID,
        client_secret=settings.OPENID_CLIENT_SECRET,
        scopes=settings.OPENID_SCOPES,
        email_domains=frozenset(domain.lower() for domain in settings.OPENID_EMAIL_DOMAINS),
        role_claim=settings.OPENID_ROLE_CLAIM,
        roles=settings.OPENID_ROLES,
        is_second_factor_trusted=settings.OPENID_TRUST_SECOND_FACTOR,
    )


def sign_in_begin(*, provider: Provider, answer_url: str, return_to: str, now: datetime) -> tuple[str, Begun]:
    """The provider's page to send the person to, and what to remember until the answer."""
    begun = Begun(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        began_at=int(now.timestamp()),
        return_to=return_to,
    )
    try:
        address_check(provider.issuer)
        page = provider_document(provider.issuer)["authorization_endpoint"]
    except (ProviderUnreachable, ProviderRefused) as error:
        raise _down(provider, error) from error
    asked = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": answer_url,
        "scope": provider.scopes,
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": _challenge(begun.verifier),
        "code_challenge_method": "S256",
    }
    return f"{page}{'&' if '?' in page else '?'}{urlencode(asked)}", begun


def sign_in_finish(
    *, provider: Provider, begun: Begun, answer: Mapping[str, str], answer_url: str, now: datetime
) -> SignedIn:
    """Who came back, once the provider has vouched for them and they have a place here."""
    if now.timestamp() - begun.began_at > BEGUN_SECONDS:
        raise SignInRefused("That login took too long. Please try again.")
    if answer.get("iss", provider.issuer) != provider.issuer:
        raise _unproven(provider, f"the answer is from {answer['iss']!r}")
    if "code" not in answer:
        raise SignInRefused(
            f"{provider.name} did not let you in. You can try again.", detail=f"error {answer.get('error')!r}"
        )
    claims = _claims(provider, begun, answer["code"], answer_url, now)
    return _person(provider, claims)


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _down(provider: Provider, error: Exception) -> ProviderDown:
    return ProviderDown(
        f"{provider.name} does not answer at the moment. Try again later, or log in with a password.",
        detail=str(error),
    )


def _unproven(provider: Provider, detail: str) -> SignInRefused:
    return SignInRefused(
        f"What {provider.name} answered could not be verified, so nobody was logged in. Please try again.",
        detail=detail,
    )


# --- What the provider says


def _claims(provider: Provider, begun: Begun, code: str, answer_url: str, now: datetime) -> Mapping[str, Any]:
    try:
        document = provider_document(provider.issuer)
        tokens = code_exchange(
            document,
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            code=code,
            verifier=begun.verifier,
            answer_url=answer_url,
        )
        proven = _proven(provider, document, str(tokens.get("id_token", "")), begun.nonce, now)
        return _detailed(provider, document, proven, str(tokens.get("access_token", "")))
    except ProviderUnreachable as error:
        raise _down(provider, error) from error
    except (TokenRefused, ProviderRefused) as error:
        raise _unproven(provider, str(error)) from error


def _proven(
    provider: Provider, document: Mapping[str, Any], token: str, nonce: str, now: datetime
) -> Mapping[str, Any]:
    """By the keys we have or, since providers change theirs, by those it has now."""
    expected: dict[str, Any] = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "nonce": nonce,
        "now": now,
    }
    try:
        return id_token_read(token, provider_keys(document), **expected)
    except KeyUnknown:
        return id_token_read(token, provider_keys(document, fresh=True), **expected)


def _detailed(
    provider: Provider, document: Mapping[str, Any], proven: Mapping[str, Any], access_token: str
) -> Mapping[str, Any]:
    """With what some providers tell only beside the token. Never over what is signed, and of nobody else."""
    if "email" in proven and (not provider.roles or _claimed(proven, provider.role_claim)):
        return proven
    details = person_details(document, access_token=access_token)
    if details and details.get("sub") != proven["sub"]:
        raise TokenRefused("the details are somebody else's")
    return {**details, **proven}


def _claimed(claims: Mapping[str, Any], name: str) -> set[str]:
    """The texts of a claim: `groups`, or `realm_access.roles` for one inside another."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    return {each for each in (found if isinstance(found, list) else [found]) if isinstance(each, str)}


# --- Who that is here


def _person(provider: Provider, claims: Mapping[str, Any]) -> SignedIn:
    try:
        user, novelty = _settled(provider, claims)
    except IntegrityError:
        # The same person came twice at once, for the first time.
        user, novelty = _settled(provider, claims)
    _admit(provider, user)
    methods = claims.get("amr")
    return SignedIn(
        user=user,
        novelty=novelty,
        has_second_factor=(
            provider.is_second_factor_trusted and isinstance(methods, list) and "mfa" in methods
        ),
    )


@transaction.atomic
def _settled(provider: Provider, claims: Mapping[str, Any]) -> tuple[User, str]:
    """The person, with the roles that the provider gives now; also when those are not enough to be let in again."""
    roles = {provider.roles[value] for value in _claimed(claims, provider.role_claim) & provider.roles.keys()}
    user = _linked(provider, claims)
    novelty = ""
    if user is None or provider.email_domains:
        email = _email(provider, claims)
        if user is None:
            user, novelty = _known(provider, email), "linked"
        if user is None:
            user, novelty = _made(provider, claims, email, roles), "made"
    if novelty:
        user.openid_issuer, user.openid_subject = provider.issuer, claims["sub"]
        user.save()
    _roles_set(provider, user, roles)
    if novelty:
        # Whoever is refused the first time has not been here.
        _admit(provider, user)
    return user, novelty


def _linked(provider: Provider, claims: Mapping[str, Any]) -> User | None:
    people = User.objects.select_for_update()
    return people.filter(openid_issuer=provider.issuer, openid_subject=claims["sub"]).first()


def _email(provider: Provider, claims: Mapping[str, Any]) -> str:
    email = claims.get("email")
    if not isinstance(email, str) or "@" not in email or claims.get("email_verified") is not True:
        raise SignInRefused(
            f"{provider.name} has not verified your e-mail address, so it does not say who you are here.",
            person=email if isinstance(email, str) else "",
        )
    domain = email.rpartition("@")[2].lower()
    if provider.email_domains and domain not in provider.email_domains:
        raise SignInRefused(f"Addresses at {domain} are not let in here.", person=email)
    return email


def _known(provider: Provider, email: str) -> User | None:
    """Somebody who works here already, by their address: then it must be theirs alone."""
    found = list(User.objects.select_for_update().filter(email__iexact=email).order_by("pk")[:2])
    if len(found) > 1:
        raise SignInRefused("Several people here have your e-mail address. Ask an owner.", person=email)
    if found and found[0].openid_subject:
        raise SignInRefused(
            f"Your e-mail address belongs to another account of {provider.name} here. Ask an owner.",
            person=email,
        )
    return found[0] if found else None


def _made(provider: Provider, claims: Mapping[str, Any], email: str, roles: set[str]) -> User:
    if not roles:
        raise _without_role(provider, email)
    name = re.sub(r"[^\w.@+-]", "-", email)[: _USERNAME_MAX - 10]
    if User.objects.filter(username=name).exists():
        name = f"{name}-{secrets.token_hex(4)}"
    user = User(
        username=name,
        email=email,
        first_name=_text(claims.get("given_name")),
        last_name=_text(claims.get("family_name")),
        is_staff=True,
    )
    user.set_unusable_password()
    return user


def _text(value: Any) -> str:
    return value[:150].replace("\x00", "") if isinstance(value, str) else ""


def _roles_set(provider: Provider, user: User, roles: set[str]) -> None:
    """Roles that the provider can give are its to give and to take; the others are left as they are."""
    named = set(provider.roles.values())
    theirs = Group.objects.filter(name__in=named)
    unknown = named - {group.name for group in theirs}
    if unknown:
        _log.error("OPENID_ROLES gives roles that are not here", extra={"roles": sorted(unknown)})
    given = [group for group in theirs if group.name in roles]
    user.groups.remove(*[group for group in theirs if group.name not in roles])
    user.groups.add(*given)


def _admit(provider: Provider, user: User) -> None:
    if not user.is_active or not user.is_staff:
        raise SignInRefused("Your access here has been taken away. Ask an owner.", person=user.username)
    if not user.is_superuser and not user.groups.exists():
        raise _without_role(provider, user.username)


def _without_role(provider: Provider, person: str) -> SignInRefused:
    return SignInRefused(
        f"Your account at {provider.name} gives you no role here. Ask whoever manages it.", person=person
    )
