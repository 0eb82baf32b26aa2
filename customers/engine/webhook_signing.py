"""Secrets and signatures of webhooks, after https://www.standardwebhooks.com."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from itertools import count
from typing import Final

_PREFIX: Final = "whsec_"


def secret_derive(*, signing_key: str, salt: str) -> str:
    """`whsec_…`: 192 bits that only the signing key and the salt together give, spelled by letters and digits alone."""
    for number in count():
        text = f"webhook secret {salt} {number}".encode()
        derived = hmac.new(signing_key.encode(), text, hashlib.sha256).digest()[:24]
        spelled = base64.b64encode(derived).decode()
        # Base 64 may have + and /, which a double click does not select; one in three tries has none.
        if spelled.isalnum():
            return _PREFIX + spelled
    raise AssertionError


def secret_check(secret: str) -> str:
    """Tells whether a secret is still the same, and nothing else about it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:16]


def signing_key(secret: str) -> bytes:
    """What a secret signs with."""
    return base64.b64decode(secret.removeprefix(_PREFIX))


def signatures(*, keys: Iterable[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return " ".join([f"v1,{_signature(key, content)}" for key in keys])


def _signature(key: bytes, content: bytes) -> str:
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
