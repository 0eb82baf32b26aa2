"""A second factor for people who log in: an authenticator app, and recovery codes for the day the phone is gone.

The arithmetic, and the slowing down of guesses, is django-otp's, by the wall clock, as authenticators go.
"""

from __future__ import annotations

import secrets
from typing import Final

from django.db import transaction
from django_otp.models import Device
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from customers.models import User

CODES: Final = 10
#: In the session of somebody whose identity provider has asked for a second factor, and is trusted with that.
PASSED_ELSEWHERE: Final = "second_factor_passed_elsewhere"
_DIGITS: Final = 6
_APP: Final = "authenticator"
_CODES: Final = "recovery codes"


def app_pending(user: User) -> TOTPDevice:
    """The app that the person is about to set up: the same one until it is confirmed."""
    device = TOTPDevice.objects.filter(user=user, confirmed=False).first()
    return device or TOTPDevice.objects.create(user=user, name=_APP, confirmed=False)


def app_of(user: User) -> Device:
    """The app that is asked for codes."""
    device: Device = TOTPDevice.objects.get(user=user, confirmed=True)
    return device


@transaction.atomic
def app_confirm(user: User, code: str) -> list[str]:
    """The second factor is on, if the app shows this code: the recovery codes, to be shown once. Else an empty list."""
    device = app_pending(user)
    if not device.verify_token(code.strip()):
        return []
    TOTPDevice.objects.filter(user=user, confirmed=True).delete()
    device.confirmed = True
    device.save(update_fields=["confirmed"])
    User.objects.filter(pk=user.pk).update(has_second_factor=True)
    user.has_second_factor = True
    return codes_renew(user)


@transaction.atomic
def codes_renew(user: User) -> list[str]:
    """New recovery codes; each is good once, and those before are not any more."""
    StaticDevice.objects.filter(user=user).delete()
    device = StaticDevice.objects.create(user=user, name=_CODES)
    codes = [f"r{secrets.token_hex(5)[1:]}" for _ in range(CODES)]
    StaticToken.objects.bulk_create(StaticToken(device=device, token=code) for code in codes)
    return codes


@transaction.atomic
def code_check(user: User, code: str) -> Device | None:
    """The device that gave this code, which is used up; None for a wrong one, or while guesses are slowed down."""
    given = code.replace(" ", "").strip().lower()
    # By its looks, so that a guess slows down one kind and not the other.
    kind = TOTPDevice if given.isdigit() and len(given) == _DIGITS else StaticDevice
    for device in kind.objects.select_for_update().filter(user=user, confirmed=True):
        if device.verify_is_allowed()[0] and device.verify_token(given):
            return device
    return None


@transaction.atomic
def second_factor_remove(user: User) -> None:
    """A password is enough again."""
    TOTPDevice.objects.filter(user=user).delete()
    StaticDevice.objects.filter(user=user).delete()
    User.objects.filter(pk=user.pk).update(has_second_factor=False)
    user.has_second_factor = False


def codes_left(user: User) -> int:
    return int(StaticToken.objects.filter(device__user=user).count())
