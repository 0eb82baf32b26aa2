"""A small OpenID Connect provider on loopback: pages, codes, PKCE, keys that change; it lies where a test wants it."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT_ID, CLIENT_SECRET = "purser", "s3cret/with+signs"


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(value: Any) -> str:
    return _text(json.dumps(value).encode())


class Key:
    """A key pair; each has the name that the provider publishes it under."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def public(self) -> dict[str, str]:
        numbers = self.private.public_key().public_numbers()
        n, e = (_text(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": n, "e": e}

    def signed(self, claims: Any) -> str:
        signing = f"{_part({'alg': 'RS256', 'kid': self.kid})}.{_part(claims)}"
        signature = self.private.sign(signing.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signing}.{_text(signature)}"


class OpenIDProvider:
    """Whoever opens its page is `person`, at once. `token` makes the ID token of the claims."""

    def __init__(self, port: int) -> None:
        self.issuer = f"http://127.0.0.1:{port}"
        self.key = Key("first")
        self.person: dict[str, Any] = {}
        self.details: dict[str, Any] | None = None
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.is_down = False
        self.token: Callable[[dict[str, Any]], str] = self._sign

    def _sign(self, claims: dict[str, Any]) -> str:
        return self.key.signed(claims)

    def answer(self, path: str, query: dict[str, str], form: dict[str, str], authorization: str) -> Any:
        self.asked.append(path)
        if self.is_down:
            return 503, {"error": "down"}
        pages: dict[str, Callable[[], Any]] = {
            "/.well-known/openid-configuration": lambda: (200, self.document()),
            "/keys": lambda: (200, {"keys": [self.key.public]}),
            "/authorize": lambda: (302, self.authorize(query)),
            "/token": lambda: self.exchange(form, authorization),
            "/userinfo": lambda: (200, self.details),
        }
        return pages[path]()

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        }
        if self.details is not None:
            document["userinfo_endpoint"] = f"{self.issuer}/userinfo"
        return document

    def authorize(self, query: dict[str, str]) -> str:
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT_ID)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = uuid4().hex
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        begun = self.codes.pop(form["code"], None)
        # The id and the secret are form-encoded within the header (RFC 6749, 2.3.1).
        secret = base64.b64encode(f"{CLIENT_ID}:s3cret%2Fwith%2Bsigns".encode()).decode()
        if begun is None or authorization != f"Basic {secret}":
            return 400, {"error": "invalid_grant"}
        challenge = _text(hashlib.sha256(form["code_verifier"].encode()).digest())
        if begun["code_challenge"] != challenge or begun["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": begun["nonce"],
            **self.person,
        }
        return 200, {"id_token": self.token(claims), "access_token": "opaque", "token_type": "Bearer"}


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIDProvider

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._answer({name: values[0] for name, values in parse_qs(body).items()})

    def _answer(self, form: dict[str, str]) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        status, answer = self.provider.answer(parts.path, query, form, self.headers.get("Authorization", ""))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", answer)
        content = b"" if status == 302 else json.dumps(answer).encode()
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Tests say themselves what went wrong."""


@contextmanager
def provider_running() -> Iterator[OpenIDProvider]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    provider = OpenIDProvider(server.server_port)
    server.RequestHandlerClass = type("Handler", (_Handler,), {"provider": provider})
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
