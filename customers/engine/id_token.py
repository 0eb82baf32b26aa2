"""Reads what an OpenID Connect provider says of a person: the ID token, once everything about it has been checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

#: Those that take a private key. HS… would let whoever reads the public keys sign, and `none` anybody.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519",
)  # fmt: skip
#: How far the provider's clock may be from ours.
LEEWAY_SECONDS: Final = 60


class TokenRefused(Exception):
    """The token proves nothing; the message says why, for the log."""


class KeyUnknown(TokenRefused):
    """No key that we know made this signature: the provider may have new ones."""


def id_token_read(
    token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> Mapping[str, Any]:
    """The claims of a token that this provider made for us, for this login, and that still counts."""
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        _expected(issuer, client_id, nonce, now).validate(claims)
    except (InvalidKeyIdError, BadSignatureError) as error:
        raise KeyUnknown(str(error)) from error
    except (JoseError, ValueError) as error:
        raise TokenRefused(str(error)) from error
    _meant_for(client_id, claims)
    return claims


def _expected(issuer: str, client_id: str, nonce: str, now: datetime) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )


def _meant_for(client_id: str, claims: Mapping[str, Any]) -> None:
    """A token for several is ours only if it was we who asked; and a nonce is one text, not a list with it."""
    asked = claims.get("azp")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if (asked is not None or several) and asked != client_id:
        raise TokenRefused("Claim 'azp' names somebody else")
    if not isinstance(claims["nonce"], str):
        raise TokenRefused("Claim 'nonce' must be a string")
