"""SIGKILL of the web inside its calls: what was in flight happened or did not, never half, and never twice."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.faults.deeds import Case, Deed, send_at_once
from tests.faults.failpoints import COMMIT, TABLES, Failpoints
from tests.faults.house import Backend, House, setting

#: What becomes of the server's process that the dead web has left in the middle.
ROLLED_BACK: Final = "is rolled back"
FINISHED: Final = "finishes"
MEETS_RETRY: Final = "meets the retry"

_ROUNDS: Final = [
    ("customers_idempotency_record", MEETS_RETRY),
    ("customers_customer", FINISHED),
    ("billing_credit_account", MEETS_RETRY),
    ("billing_credit_block", ROLLED_BACK),
    ("billing_ledger_entry", FINISHED),
    ("metering_usage_event", MEETS_RETRY),
    ("metering_reservation", ROLLED_BACK),
    (COMMIT, FINISHED),
]
_ALL_ROUNDS: Final = [
    (point, end)
    for point in (COMMIT, *(table for table in TABLES if not table.startswith("billing_ledger_seal")))
    for end in (ROLLED_BACK, FINISHED, MEETS_RETRY)
]


@pytest.mark.usefixtures("in_order")
@pytest.mark.parametrize(("point", "orphan"), _ALL_ROUNDS if setting("PURSER_FAULTS_ALL", 0) else _ROUNDS)
def test_a_web_killed_inside_every_call_leaves_each_done_once_or_not_at_all(
    web: House,
    tenant: Any,
    failpoints: Failpoints,
    passing: dict[str, list[Deed]],
    afterwards: dict[str, Any],
    point: str,
    orphan: str,
) -> None:
    # given every call that passes the point, each standing there
    cases = [Case(deed=deed, backend=Backend(web.port, tenant.test.secret)) for deed in passing[point]]
    for case in cases:
        case.prepare()
    before = {case.who: case.looks() for case in cases}
    with failpoints.gate_closed():
        with failpoints.armed("wait", point):
            flying = send_at_once(cases)
            failpoints.wait_for(len(cases))
            # when
            web.web_kill()
        assert [call.result() for call in flying] == [None] * len(cases)
        if orphan == ROLLED_BACK:
            failpoints.roll_back_waiting()
        if orphan != MEETS_RETRY:
            failpoints.gate_open()
            failpoints.wait_for_quiet()
        web.web_start()
        # then each is done, or it is not
        if orphan != MEETS_RETRY:
            for case in cases:
                assert case.looks() in (before[case.who], afterwards[case.deed.name])
        # and its retry does it, if need be, and once
        flying = send_at_once(cases)
        failpoints.gate_open()
        answers = [call.result() for call in flying]
    for case, answer in zip(cases, answers, strict=True):
        assert answer is not None, case.deed.name
        assert answer.status < 300, (case.deed.name, answer)
        assert case.looks() == afterwards[case.deed.name], case.deed.name
