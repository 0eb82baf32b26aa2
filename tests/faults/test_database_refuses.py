"""The database cannot: out of time, of locks, of disk. A clean 503, nothing left behind, and the retry works."""

from __future__ import annotations

from time import monotonic
from typing import Any, Final

import pytest

from tests.conftest import Character
from tests.faults.deeds import Case, Deed, done
from tests.faults.failpoints import COMMIT, Failpoints
from tests.faults.house import Backend, House, setting

_FAILURES: Final = {
    "statement timeout": "57014",
    "lock timeout": "55P03",
    "serialization failure": "40001",
    "deadlock": "40P01",
    "disk full": "53100",
    "out of memory": "53200",
    "too many connections": "53300",
}
#: Each failure meets every third call, unless all are asked for.
_ONE_IN: Final = 1 if setting("PURSER_FAULTS_ALL", 0) else 3
_POINTS: Final = ("customers_outbox_event", "billing_credit_account", "billing_ledger_entry", COMMIT)


@pytest.mark.usefixtures("in_order")
@pytest.mark.parametrize("failure", _FAILURES)
def test_a_call_that_the_database_fails_leaves_nothing_and_can_be_sent_again(
    web: House,
    tenant: Character,
    failpoints: Failpoints,
    passing: dict[str, list[Deed]],
    afterwards: dict[str, Any],
    failure: str,
) -> None:
    backend = Backend(web.port, tenant.test.secret)
    first = list(_FAILURES).index(failure)
    for number, deed in list(enumerate(passing[COMMIT], start=first))[first % _ONE_IN :: _ONE_IN]:
        # given a failure at one of the points that the call passes
        points = [point for point in _POINTS if deed in passing[point]]
        point = points[number % len(points)]
        case = Case(deed=deed, backend=backend)
        case.prepare()
        before = case.looks()
        # when
        with failpoints.armed(_FAILURES[failure], point):
            answer = case.send()
        # then
        if deed.name == "usage batch":
            _refused_or_each_event_is(answer.body)
        else:
            assert (answer.status, answer.headers.get("retry-after")) == (503, "1"), (
                deed.name,
                point,
                answer,
            )
            assert answer["code"] == "unavailable"
        assert case.looks() == before, (deed.name, point)
        done(case.send())
        assert case.looks() == afterwards[deed.name], (deed.name, point)


def _refused_or_each_event_is(body: dict[str, Any]) -> None:
    statuses = (
        [result["error"]["status"] for result in body["results"]] if "results" in body else [body["status"]]
    )
    assert set(statuses) == {503}, body


@pytest.mark.usefixtures("in_order")
def test_a_statement_that_takes_too_long_is_cut_off_and_the_connection_serves_on(
    web: House,
    tenant: Character,
    failpoints: Failpoints,
    afterwards: dict[str, Any],
    passing: dict[str, list[Deed]],
) -> None:
    # given a web whose statements may take a second
    try:
        web.web_start(threads=1, DATABASE_STATEMENT_TIMEOUT_SECONDS="1")
        for deed in passing["billing_ledger_entry"][::3]:
            case = Case(deed=deed, backend=Backend(web.port, tenant.test.secret))
            case.prepare()
            before = case.looks()
            # when
            with failpoints.armed("sleep", "billing_ledger_entry"):
                answer = case.send()
            # then
            if deed.name != "usage batch":
                assert (answer.status, answer["code"]) == (503, "unavailable"), deed.name
            assert case.looks() == before
            done(case.send())
            assert case.looks() == afterwards[deed.name]
    finally:
        web.web_kill()


@pytest.mark.usefixtures("in_order")
def test_an_account_that_somebody_keeps_locked_is_not_waited_for_without_end(
    web: House,
    tenant: Character,
    afterwards: dict[str, Any],
    passing: dict[str, list[Deed]],
) -> None:
    # given a web that waits a second for a lock, and somebody who holds all accounts
    try:
        web.web_start(threads=1, DATABASE_LOCK_TIMEOUT_SECONDS="1")
        deed = next(deed for deed in passing["billing_ledger_entry"] if deed.name != "usage batch")
        case = Case(deed=deed, backend=Backend(web.port, tenant.test.secret))
        case.prepare()
        before = case.looks()
        # when
        with web.superuser() as superuser, superuser.transaction():
            superuser.execute("SELECT FROM billing_credit_account FOR UPDATE")
            began = monotonic()
            answer = case.send()
            waited = monotonic() - began
        # then
        assert (answer.status, answer["code"]) == (503, "unavailable")
        assert answer.headers["retry-after"] == "1"
        assert waited >= 1
        assert case.looks() == before
        done(case.send())
        assert case.looks() == afterwards[deed.name]
    finally:
        web.web_kill()
