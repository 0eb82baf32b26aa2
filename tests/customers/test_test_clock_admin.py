"""The panel of the test clock, and the line on every page."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from customers.kernel.database import environment_scope
from customers.models import AuditRecord, Environment
from tests.conftest import Api
from tests.desk import Desk, somebody
from tests.making import balance, give

PAGE = "/admin/customers/environment/test-clock/"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def desk(operator, acme) -> Desk:
    return Desk(operator, acme.test)


@pytest.fixture
def clocked(api, acme) -> Api:
    assert api.post("/v1/test-clock", {"frozen_time": "2026-01-31T00:00:00Z"}).status == 200
    return api


def frozen(world) -> datetime | None:
    return Environment.objects.get(id=world.id).frozen_at


def test_a_clock_is_set_advanced_and_removed(desk, acme, api):
    assert "The system" in desk.open(PAGE)
    sent = {"frozen_time": "2026-01-01T00:00:00", "reason": "To try a year."}
    assert desk.send(f"{PAGE}set/", sent).status_code == 302
    assert frozen(acme.test) == START
    give(api, 1000, expires_at="2026-03-01T00:00:00Z")
    page = desk.open(PAGE)
    assert "the credits of user_1" in page
    assert "2026-03-01 00:00:00" in page

    answer = desk.send(f"{PAGE}advance/", {"to": "2026-02-01T00:00:00", "reason": "A month on."}, follow=True)
    assert "It is 2026-02-01 00:00:00 UTC now. Nothing was due." in answer.content.decode()
    answer = desk.send(f"{PAGE}next/", {"reason": "What comes?"}, follow=True)
    said = "It is 2026-03-01 00:00:00 UTC now. Something was due at 1 instants (credits: 1)."
    assert said in answer.content.decode()
    assert balance(api)["balance"] == 0

    assert desk.send(f"{PAGE}remove/", {"reason": "Done."}).status_code == 302
    assert frozen(acme.test) is None
    with environment_scope(acme.test.id):
        records = AuditRecord.objects.filter(action__startswith="test_clock.").order_by("id")
        assert [(record.action, record.reason, record.actor) for record in records] == [
            ("test_clock.set", "To try a year.", f"user:{desk.user.username}"),
            ("test_clock.advanced", "A month on.", f"user:{desk.user.username}"),
            ("test_clock.advanced", "What comes?", f"user:{desk.user.username}"),
            ("test_clock.removed", "Done.", f"user:{desk.user.username}"),
        ]


@pytest.mark.parametrize(
    ("button", "offered"), [("day", "2026-02-01T00:00:00"), ("month", "2026-02-28T00:00:00")]
)
def test_a_button_offers_the_time_it_goes_to(desk, clocked, button, offered):
    assert f'value="{offered}"' in desk.open(f"{PAGE}{button}/")


@pytest.mark.parametrize(("deed", "sent"), [("next", {}), ("day", {"to": "2026-02-01T00:00:00"})])
def test_a_form_sent_twice_moves_the_time_once(desk, clocked, acme, deed, sent):
    give(clocked, 1000, expires_at="2026-03-01T00:00:00Z")
    give(clocked, 1000, expires_at="2026-04-01T00:00:00Z")
    token = desk.token(f"{PAGE}{deed}/")
    desk.send(f"{PAGE}{deed}/", {**sent, "reason": "Once."}, token=token)
    after = frozen(acme.test)

    desk.send(f"{PAGE}{deed}/", {**sent, "reason": "Once."}, token=token)

    assert after is not None
    assert frozen(acme.test) == after
    with environment_scope(acme.test.id):
        assert AuditRecord.objects.filter(action="test_clock.advanced").count() == 1


def test_a_refusal_is_shown_and_the_form_may_be_sent_again(desk, clocked, acme):
    token = desk.token(f"{PAGE}advance/")

    answer = desk.send(f"{PAGE}advance/", {"to": "2025-01-01T00:00:00", "reason": "Back."}, token=token)

    assert answer.status_code == 422
    assert "The clock is further already" in answer.content.decode()
    sent = {"to": "2026-02-02T00:00:00", "reason": "On."}
    assert desk.send(f"{PAGE}advance/", sent, token=token).status_code == 302
    assert frozen(acme.test) == datetime(2026, 2, 2, tzinfo=UTC)


def test_a_reason_is_required(desk, clocked, acme):
    assert desk.send(f"{PAGE}next/", {"reason": ""}).status_code == 422
    assert frozen(acme.test) == datetime(2026, 1, 31, tzinfo=UTC)


def test_every_page_says_that_time_stands_still(desk, clocked, acme):
    banner = "Time stands still at"

    for path in ("/admin/", "/admin/customers/customer/", "/admin/customers/customer/add/", PAGE):
        page = desk.open(path)
        assert banner in page
        assert "2026-01-31 00:00:00 UTC" in page
    desk.look_at(acme.live)
    assert banner not in desk.open("/admin/")


def test_on_live_there_is_nothing_to_press(desk, clocked, acme):
    desk.look_at(acme.live)

    page = desk.open(PAGE)

    assert "no test clock" in page
    assert "test-clock/set" not in page
    assert "Test clock</" not in desk.open("/admin/")
    desk.open(f"{PAGE}set/", status=403)


@pytest.mark.parametrize(
    ("role", "may"),
    [("viewer", False), ("support", False), ("finance", False), ("operator", True), ("owner", True)],
)
def test_who_may_move_the_time(acme, clocked, role, may):
    desk = Desk(somebody(role), acme.test)

    assert ("test-clock/next" in desk.open(PAGE)) is may
    desk.open(f"{PAGE}next/", status=200 if may else 403)


def test_there_is_no_other_deed(desk, clocked):
    desk.open(f"{PAGE}rewind/", status=404)


def test_the_page_is_cheap(desk, clocked):
    assert desk.queries(PAGE) <= 15
