"""An environment's accounts at payment providers, and which provider has an invoice's customer pay."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings
from django.db import transaction

from billing.engine.secret_box import SecretUnreadable, secret_open, secret_seal
from billing.errors import NoPaymentProvider, PaidByHand, ProviderAccountNotFound, ProviderSecretUnreadable
from billing.gateways.payments.provider import PaymentProvider
from billing.gateways.payments.sandbox import Sandbox
from billing.gateways.payments.stripe_api import Stripe
from billing.models import ProviderAccount
from billing.services.manual_payments import MANUAL
from customers.errors import FieldError, ValidationFailed
from customers.kernel.caller import Caller
from customers.models import Customer, Environment, EnvironmentKind
from customers.services.audit import audit_record

STRIPE: Final = "stripe"
SANDBOX: Final = "sandbox"
_KEY_SHAPE: Final = r"(sk|rk)_{kind}_[A-Za-z0-9_]+"
_SIGNING_SHAPE: Final = re.compile(r"whsec_[A-Za-z0-9+/=_-]+")
_HINT: Final = 4


@transaction.atomic
def provider_account_set(
    *, caller: Caller, secret_key: str, webhook_secret: str, reason: str = "", now: datetime
) -> ProviderAccount:
    """Have this environment's customers pay by this account at Stripe from now on. Raises ValidationFailed."""
    environment = Environment.objects.select_for_update(no_key=True).get(id=caller.environment_id)
    _check(environment.kind, secret_key, webhook_secret)
    before = _account(caller.environment_id)
    account, _ = ProviderAccount.objects.update_or_create(
        environment_id=caller.environment_id,
        provider=STRIPE,
        defaults={
            "secret_key_encrypted": _sealed(secret_key),
            "webhook_secret_encrypted": _sealed(webhook_secret),
            "key_hint": secret_key[-_HINT:],
            "updated_at": now,
        },
        create_defaults={
            "secret_key_encrypted": _sealed(secret_key),
            "webhook_secret_encrypted": _sealed(webhook_secret),
            "key_hint": secret_key[-_HINT:],
            "created_at": now,
            "updated_at": now,
        },
    )
    _record(caller, "set", [before.key_hint if before else None, account.key_hint], reason, now)
    return account


@transaction.atomic
def provider_account_delete(*, caller: Caller, reason: str = "", now: datetime) -> None:
    """Forget the account and its secrets. What is under way there is not asked about any more. Twice is no error."""
    account = _account(caller.environment_id)
    if account is not None:
        account.delete()
        _record(caller, "deleted", [account.key_hint, None], reason, now)


def provider_account_get(*, environment_id: UUID) -> ProviderAccount:
    """Raises ProviderAccountNotFound."""
    account = _account(environment_id)
    if account is None:
        raise ProviderAccountNotFound
    return account


def webhook_secret_of(account: ProviderAccount) -> str:
    """What the provider signs its webhooks with. Raises ProviderSecretUnreadable."""
    return _opened(account.webhook_secret_encrypted)


def provider_of(*, customer: Customer) -> PaymentProvider:
    """Who has this customer pay. Raises PaidByHand, NoPaymentProvider."""
    named = (customer.payment_provider or STRIPE).strip().lower()
    if named == MANUAL:
        raise PaidByHand
    if named not in {STRIPE, SANDBOX}:
        raise NoPaymentProvider(f"There is no payment provider {named[:40]}.")
    account = _account(customer.environment_id) if named == STRIPE else None
    if account is not None:
        return _stripe(account)
    if Environment.objects.get(id=customer.environment_id).kind == EnvironmentKind.TEST:
        return Sandbox()
    raise NoPaymentProvider


def provider_named(*, environment_id: UUID, name: str) -> PaymentProvider:
    """The provider that was asked before. Raises ProviderAccountNotFound when its account is gone."""
    return Sandbox() if name == SANDBOX else _stripe(provider_account_get(environment_id=environment_id))


def _stripe(account: ProviderAccount) -> Stripe:
    return Stripe(
        secret_key=_opened(account.secret_key_encrypted),
        api_base=settings.STRIPE_API_BASE,
        timeout_seconds=settings.STRIPE_TIMEOUT_SECONDS,
    )


def _account(environment_id: UUID) -> ProviderAccount | None:
    return ProviderAccount.objects.filter(environment_id=environment_id, provider=STRIPE).first()


def _sealed(secret: str) -> bytes:
    return secret_seal(secret, signing_key=settings.WEBHOOKS_SIGNING_KEY)


def _opened(sealed: bytes | memoryview) -> str:
    try:
        return secret_open(bytes(sealed), signing_key=settings.WEBHOOKS_SIGNING_KEY)
    except SecretUnreadable:
        raise ProviderSecretUnreadable from None


def _check(kind: str, secret_key: str, webhook_secret: str) -> None:
    """A live account's key in a test environment would move real money."""
    errors = []
    if re.fullmatch(_KEY_SHAPE.format(kind=kind), secret_key) is None:
        errors.append(
            FieldError(
                "secret_key", "invalid", f"Must be a key of Stripe's {kind} mode: sk_{kind}_… or rk_{kind}_…."
            )
        )
    if _SIGNING_SHAPE.fullmatch(webhook_secret) is None:
        errors.append(FieldError("webhook_secret", "invalid", "Must be the signing secret: whsec_…."))
    if errors:
        raise ValidationFailed(errors=errors)


def _record(caller: Caller, what: str, hints: list[str | None], reason: str, now: datetime) -> None:
    audit_record(
        caller=caller,
        action=f"payment_provider.{what}",
        object_type="payment_provider",
        object_id=STRIPE,
        changes={"key_hint": hints},
        reason=reason,
        now=now,
    )
