"""The call is committed and its answer lost: a retry with the same key finds what was done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Character
from tests.faults.deeds import DEEDS, Case, send_at_once
from tests.faults.house import Backend, House, wait_until
from tests.faults.proxy import CUT, PASS_AND_CUT, SWALLOW, Proxy, always, once

#: The functions of hot calls, which are transactions by themselves; every other call ends with a COMMIT.
_HOT = ("metering_usage_record_v1", "metering_usage_many_v1", "metering_reserve_v1", "metering_reservation_")


@pytest.fixture(scope="module")
def proxy(house: House) -> Iterator[Proxy]:
    with Proxy(to=house.database_socket) as proxy:
        yield proxy
        house.web_kill()


@pytest.fixture
def behind_proxy(house: House, proxy: Proxy, afterwards: dict[str, Any]) -> House:
    proxy.follow(None)
    house.web_start(database_socket=proxy.folder)
    return house


def _is_done(statement: str, is_open: bool) -> bool:
    return not is_open and (statement == "COMMIT" or any(name in statement for name in _HOT))


def _is_authentication(statement: str, is_open: bool) -> bool:
    return "api_key_find" in statement


def _cases(house: House, tenant: Character) -> list[Case]:
    cases = [Case(deed=deed, backend=Backend(house.port, tenant.test.secret)) for deed in DEEDS]
    for case in cases:
        case.prepare()
    return cases


@pytest.mark.usefixtures("in_order")
def test_a_web_killed_between_commit_and_answer_has_done_it_and_says_so_when_asked_again(
    behind_proxy: House, proxy: Proxy, tenant: Character, afterwards: dict[str, Any]
) -> None:
    # given every call, committed, its answer held back
    cases = _cases(behind_proxy, tenant)
    proxy.follow(always(SWALLOW, when=_is_done))
    flying = send_at_once(cases)
    wait_until(lambda: len(proxy.lost) >= len(cases), what="every call is committed")
    # when
    behind_proxy.web_kill()
    assert [call.result() for call in flying] == [None] * len(cases)
    proxy.follow(None)
    behind_proxy.web_start()
    # then each is done, and its retry changes nothing
    for case in cases:
        assert case.looks() == afterwards[case.deed.name], case.deed.name
        again = case.send()
        assert (again.status < 300, again.headers.get("x-idempotent-replayed")) == (True, "true"), (
            case.deed,
            again,
        )
        assert case.looks() == afterwards[case.deed.name], case.deed.name


@pytest.mark.usefixtures("in_order")
def test_a_connection_lost_between_commit_and_answer_is_a_503_or_the_answer_itself(
    behind_proxy: House, proxy: Proxy, tenant: Character, afterwards: dict[str, Any]
) -> None:
    for case in _cases(behind_proxy, tenant):
        # given
        proxy.follow(once(CUT, when=_is_done))
        # when
        answer = case.send()
        # then a hot call was sent again and found itself done; others are for the caller to send again
        assert len(proxy.lost) == 1, case.deed.name
        if answer.status >= 300:
            assert (answer.status, answer["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
            again = case.send()
            assert (again.status < 300, again.headers["x-idempotent-replayed"]) == (True, "true"), (
                case.deed.name
            )
        assert case.looks() == afterwards[case.deed.name], case.deed.name


def test_a_connection_that_breaks_after_authentication_does_not_make_the_customer_unknown(
    behind_proxy: House, proxy: Proxy, tenant: Character
) -> None:
    # given
    backend = Backend(behind_proxy.port, tenant.test.secret)
    [case] = [case for case in _cases(behind_proxy, tenant) if case.deed.name == "grant"]
    customer = f"/v1/customer-by-external-id/{case.who}"
    for path in (customer, f"{customer}/credits/history", f"{customer}/credits", f"{customer}/reservations"):
        proxy.follow(once(PASS_AND_CUT, when=_is_authentication))
        # when
        answer = backend.get(path)
        # then
        assert answer.status in (200, 503), (path, answer)
        if answer.status == 503:
            assert answer.headers["retry-after"] == "1"
        assert backend.get(path).status == 200
