"""Secrets that must be read again, as those for a provider are: encrypted under a key that the installation keeps."""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken


class SecretUnreadable(Exception):
    """It was sealed under another key."""


def secret_seal(secret: str, *, signing_key: str) -> bytes:
    """The secret, readable with the same signing key only."""
    return _box(signing_key).encrypt(secret.encode())


def secret_open(sealed: bytes, *, signing_key: str) -> str:
    """Raises SecretUnreadable."""
    try:
        return _box(signing_key).decrypt(sealed).decode()
    except InvalidToken:
        raise SecretUnreadable from None


def _box(signing_key: str) -> Fernet:
    # One key for one purpose: what signs webhooks opens no secrets.
    key = hmac.new(signing_key.encode(), b"provider secrets", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))
