"""What stands in for Stripe: localstripe, a program of its own, and between it and us whatever goes wrong on the way.

localstripe keeps customers, cards, payments and refunds. What it lacks of the real one is added here: idempotency keys
(the first answer is kept, a second request at the same time is refused), filters of lists, the payment intent in the
error of a declined card, and where a payer confirms.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode

#: What is done with a request. Done: it reached Stripe and had its effect, whatever became of the answer.
PASS = "pass"
LOSE = "done, and no answer until the client gives up"
DELAY = "done late, when the client may be gone"
CUT = "done, and cut off in the middle of the answer"
FAIL_AFTER = "done, and answered 500"
DROP = "not done: the connection is closed"
FAIL_BEFORE = "not done, and answered 500"
TOO_MANY = "not done, and answered 429"

_UNKNOWN_TO_IT = re.compile(r"description|return_url|automatic_payment_methods.*|expand.*|created.*")
Rule = Callable[[str, str], str]


def once(doing: str, *, method: str = "POST", path: str = "/v1/payment_intents") -> Rule:
    """The first request of this kind."""
    return times(1, doing, method=method, path=path)


def times(count: int, doing: str, *, method: str = "POST", path: str = "/v1/payment_intents") -> Rule:
    doings = iter([doing] * count)
    return lambda asked, where: next(doings, PASS) if (asked, where) == (method, path) else PASS


def always(doing: str) -> Rule:
    return lambda _method, _path: doing


@dataclass
class _Kept:
    """The first request under an idempotency key, and its answer once there is one."""

    asked: bytes
    answer: tuple[int, bytes] | None = None


class StandIn:
    """`with StandIn() as stripe`: an API like Stripe's at `stripe.url`, and what is in it."""

    def __init__(self) -> None:
        self._port = _free_port()
        self._program: subprocess.Popen[bytes] | None = None
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Between)
        self._server.daemon_threads = True
        self._server.stand_in = self  # type: ignore[attr-defined]
        self._rule: Rule = always(PASS)
        self._lock = Lock()
        self.kept: dict[str, _Kept] = {}
        #: (method, path, what was done) of everything that came.
        self.seen: list[tuple[str, str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._program = subprocess.Popen(
            [sys.executable, "-m", "localstripe", "--port", str(self._port), "--from-scratch"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        self._wait_until_up()
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        if self._program is not None:
            self._program.kill()
            self._program.wait()

    def follow(self, rule: Rule) -> None:
        self._rule = rule
        self.seen.clear()

    def forget_keys(self) -> None:
        """As Stripe does after a day."""
        self.kept.clear()

    def decide(self, method: str, path: str) -> str:
        with self._lock:
            doing = self._rule(method, path)
            self.seen.append((method, path, doing))
            return doing

    def claim(self, key: str, asked: bytes) -> tuple[bool, _Kept]:
        """Whether this is the first request under the key, and what is kept of it."""
        with self._lock:
            first = key not in self.kept
            return first, self.kept.setdefault(key, _Kept(asked))

    def ask(self, method: str, path: str, form: dict[str, Any] | None = None) -> Any:
        """Straight to the program, as the payer's browser or the tenant's other systems would."""
        body = urlencode(form or {}).encode()
        status, answer = self.upstream(method, path, body)
        assert status == 200, (status, answer)
        return json.loads(answer)

    def upstream(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        headers = {
            "Authorization": "Bearer sk_test_12345",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        connection.request(method, path, body if method == "POST" else None, headers)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        return response.status, answer

    def customer(self, *cards: str, default: bool = False) -> str:
        """A customer there with saved cards; the last one is the default if asked for."""
        made = self.ask("POST", "/v1/customers", {"name": "Acme Corp"})
        card = None
        for number in cards:
            card = self.card(made["id"], number)
        if default:
            chosen = {"invoice_settings[default_payment_method]": card}
            self.ask("POST", f"/v1/customers/{made['id']}", chosen)
        return str(made["id"])

    def card(self, customer: str, number: str) -> str:
        form = {
            "type": "card",
            "card[number]": number,
            "card[exp_month]": 12,
            "card[exp_year]": 2030,
            "card[cvc]": "123",
        }
        method = self.ask("POST", "/v1/payment_methods", form)["id"]
        self.ask("POST", f"/v1/payment_methods/{method}/attach", {"customer": customer})
        return str(method)

    def intents(self, customer: str) -> list[dict[str, Any]]:
        """All payment intents of a customer, the oldest first."""
        listed = self.ask("GET", "/v1/payment_intents?limit=100")["data"]
        mine = [intent for intent in listed if intent["customer"] == customer]
        return sorted(mine, key=lambda intent: intent["created"])

    def refunds(self, payment_intent: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = self.ask("GET", f"/v1/refunds?payment_intent={payment_intent}")["data"]
        return listed

    def authenticate(self, payment_intent: str, *, success: bool) -> None:
        """The payer confirms at the bank, or fails to."""
        intent = self.ask("GET", f"/v1/payment_intents/{payment_intent}")
        form = {"client_secret": intent["client_secret"], "success": str(success).lower()}
        self.ask("POST", f"/v1/payment_intents/{payment_intent}/_authenticate", form)

    def _wait_until_up(self) -> None:
        assert self._program is not None
        for _ in range(200):
            assert self._program.poll() is None, "localstripe did not start; it needs IPv6"
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError("localstripe did not come up")


class _Between(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def stand_in(self) -> StandIn:
        return self.server.stand_in  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        self._handle(b"")

    def do_POST(self) -> None:
        self._handle(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _handle(self, body: bytes) -> None:
        path = self.path.partition("?")[0]
        doing = self.stand_in.decide(self.command, path)
        if doing == DROP:
            self._hang_up()
        elif doing == TOO_MANY:
            self._answer(429, _error("rate_limit_error", "Too many requests"))
        elif doing == FAIL_BEFORE:
            self._answer(500, _error("api_error", "Something went wrong"))
        else:
            self._done(body, doing)

    def _done(self, body: bytes, doing: str) -> None:
        if doing == DELAY:
            time.sleep(2)
        status, answer = self._asked_once(body, doing)
        if doing == LOSE:
            time.sleep(3)
            self._hang_up()
        elif doing == CUT:
            self._begin(status, len(answer))
            self.wfile.write(answer[: len(answer) // 2])
            self._hang_up()
        else:
            self._answer(status, answer)

    def _asked_once(self, body: bytes, doing: str) -> tuple[int, bytes]:
        """Under an idempotency key the first answer is the only one, a 500 too."""
        key = self.headers.get("Idempotency-Key")
        if self.command != "POST" or key is None:
            return self._asked(body)
        first, entry = self.stand_in.claim(key, body)
        if entry.asked != body:
            return 400, _error("idempotency_error", "Keys can only be used with the same parameters.")
        if not first:
            return entry.answer or (409, _error("idempotency_error", "This key is in use."))
        entry.answer = self._asked(body)
        if doing == FAIL_AFTER:
            entry.answer = 500, _error("api_error", "Something went wrong")
        return entry.answer

    def _asked(self, body: bytes) -> tuple[int, bytes]:
        path, _, query = self.path.partition("?")
        filters = dict(parse_qsl(query))
        if path == "/v1/payment_methods" and self.command == "GET":
            query = urlencode({**filters, "type": "card"})
        if path == "/v1/payment_intents" and self.command == "GET":
            query = urlencode({k: v for k, v in filters.items() if k in {"limit", "starting_after"}})
        form = urlencode([(k, v) for k, v in parse_qsl(body.decode()) if not _UNKNOWN_TO_IT.fullmatch(k)])
        query = urlencode([(k, v) for k, v in parse_qsl(query) if not k.startswith("expand")])
        status, answer = self.stand_in.upstream(self.command, f"{path}?{query}", form.encode())
        return self._completed(status, answer, filters, dict(parse_qsl(body.decode())))

    def _completed(
        self, status: int, answer: bytes, filters: dict[str, str], form: dict[str, str]
    ) -> tuple[int, bytes]:
        """What Stripe would say beside what the stand-in says."""
        told = json.loads(answer)
        if status == 402:
            told["error"] |= {"type": "card_error", "payment_intent": self._left_behind(form)}
        elif told.get("object") == "list":
            told["data"] = [each for each in told["data"] if _is_asked_for(each, filters)]
        elif told.get("next_action"):
            url = f"https://hooks.stripe.example/authenticate/{told['id']}"
            told["next_action"] = {"type": "redirect_to_url", "redirect_to_url": {"url": url}}
        return status, json.dumps(told).encode()

    def _left_behind(self, form: dict[str, str]) -> Any:
        made = self.stand_in.ask("GET", "/v1/payment_intents?limit=100")["data"]
        key = form["metadata[purser_key]"]
        return next(intent for intent in made if intent["metadata"].get("purser_key") == key)

    def _answer(self, status: int, answer: bytes) -> None:
        with suppress(OSError):
            self._begin(status, len(answer))
            self.wfile.write(answer)

    def _begin(self, status: int, length: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *said: Any) -> None:
        """The tests say what matters."""


def _is_asked_for(each: dict[str, Any], filters: dict[str, str]) -> bool:
    created = int(each.get("created", 0))
    return filters.get("customer") in {None, each.get("customer")} and int(
        filters.get("created[gte]", 0)
    ) <= created < int(filters.get("created[lt]", 2**62))


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"error": {"type": kind, "message": message}}).encode()


def _free_port() -> int:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        return int(probe.getsockname()[1])
