"""What webhooks are never sent to, however it is spelled, and whatever a resolver says the second time."""

from __future__ import annotations

import ipaddress
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from standardwebhooks import Webhook

from customers.engine.webhook_addresses import address_refusal
from customers.engine.webhook_schedule import next_try, retry_after_parse
from customers.engine.webhook_signing import secret_derive, signatures, signing_key
from customers.gateways.webhook_http import webhook_post
from tests.customers.webhook_receiver import receiving

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "webhook_signature.json").read_text())
NOW = datetime(2026, 4, 3, 9, 1, tzinfo=UTC)

REFUSED = """
127.0.0.1 127.255.255.254 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1
100.100.100.200 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1
255.255.255.255 168.63.129.16 192.88.99.1 :: ::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1
::127.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b:1::a9fe:a9fe 2002:7f00:1::
2002:a00:1:: fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 2001::7f00:1 100::1
"""


@pytest.mark.parametrize("address", REFUSED.split())
def test_addresses_that_are_not_of_the_public_internet_are_refused(address):
    assert address_refusal(ipaddress.ip_address(address), allow_private=False) is not None


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "::ffff:1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"]
)
def test_public_addresses_are_not(address):
    assert address_refusal(ipaddress.ip_address(address), allow_private=False) is None


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("127.0.0.1", True),
        ("10.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
    ],
)
def test_for_development_loopback_and_private_ones_are_open_and_metadata_is_not(address, is_open):
    assert (address_refusal(ipaddress.ip_address(address), allow_private=True) is None) is is_open


def post(url, *, allow_private=False, seconds=2.0):
    return webhook_post(
        endpoint_id=uuid4(), url=url, body=b"{}", headers={}, seconds=seconds, allow_private=allow_private
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:7f00:1]",
        "0",
    ],
)
def test_every_spelling_of_loopback_is_refused_where_the_connection_is_made(host):
    with receiving() as receiver:
        reply = post(f"http://{host}:{receiver.port}/")

        assert reply.status is None
        assert "AddressRefusedError" in reply.error
        assert receiver.connections == 0


def resolving(monkeypatch, *answers):
    """A name that has other addresses each time it is asked for; how often it was."""
    asked = []

    def getaddrinfo(host, port, *_more, **_options):
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch):
    """A resolver that says something public first and loopback afterwards."""
    asked = resolving(monkeypatch, ["93.184.215.14"], ["127.0.0.1"])
    places = []

    def connect(_self, place):
        places.append(place)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    reply = post("http://rebinding.example/")

    assert "ConnectionRefusedError" in reply.error
    assert (asked, places) == (["rebinding.example"], [("93.184.215.14", 80)])


def test_one_bad_address_among_good_ones_is_enough(monkeypatch):
    resolving(monkeypatch, ["93.184.215.14", "10.0.0.1"])

    assert "AddressRefusedError: 10.0.0.1" in post("http://mixed.example/").error


def test_each_new_connection_is_checked_anew(monkeypatch):
    with receiving() as receiver:
        url = f"http://127.0.0.1:{receiver.port}/"
        assert post(url, allow_private=True).status == 200
        assert "AddressRefusedError" in post(url).error


def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch):
    def getaddrinfo(*_arguments, **_options):
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    assert post("http://slow.example/", seconds=0.2).error == "no answer within 0.2 s"


def test_an_answer_that_is_no_http_is_an_error_and_no_crash():
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        assert "no answer" in post(url, allow_private=True, seconds=0.2).error
    assert "ConnectionRefusedError" in post(url, allow_private=True).error
    with receiving() as receiver:
        assert "SSL" in post(f"https://127.0.0.1:{receiver.port}/", allow_private=True).error


def test_the_signature_is_that_of_the_vector_and_of_the_public_library():
    body, timestamp = VECTOR["body"].encode(), VECTOR["webhook-timestamp"]
    signed = signatures(
        keys=[signing_key(VECTOR["secret"])], message_id=VECTOR["webhook-id"], timestamp=timestamp, body=body
    )

    assert signed == VECTOR["webhook-signature"]
    library = Webhook(VECTOR["secret"])
    assert signed == library.sign(
        VECTOR["webhook-id"], datetime.fromtimestamp(timestamp, UTC), VECTOR["body"]
    )


def test_secrets_are_letters_and_digits_and_depend_on_key_and_salt():
    secrets = {secret_derive(signing_key=key, salt=salt) for key in "ab" for salt in ("1", "2", "3")}

    assert len(secrets) == 6
    assert all(secret.removeprefix("whsec_").isalnum() and len(secret) == 38 for secret in secrets)
    assert secret_derive(signing_key="a", salt="1") in secrets


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Fri, 03 Apr 2026 09:02:00 GMT", 60),
        ("Fri, 03 Apr 2026 09:00:00 GMT", None),
        ("soon", None),
        ("-5", None),
        ("9" * 40, None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    wanted = None if seconds is None else timedelta(seconds=seconds)

    assert retry_after_parse(text, NOW) == wanted


def test_what_is_asked_for_makes_it_later_never_earlier_and_at_most_a_day():
    def pause(tries, asked):
        at = next_try(tries=tries, asked=asked, luck=0.5, now=NOW)
        return at and at - NOW

    assert pause(1, None) == timedelta(seconds=5)
    assert pause(1, timedelta(seconds=60)) == timedelta(seconds=60)
    assert pause(2, timedelta(seconds=60)) == timedelta(minutes=5)
    assert pause(1, timedelta(days=30)) == timedelta(hours=24)
    assert pause(7, None) == timedelta(hours=14)
    assert pause(8, None) is None
