"""Support follows a line of an invoice to the events that it counts, and an event back to its invoice."""

from __future__ import annotations

from billing.engine.arithmetic import Part
from billing.models import InvoiceLine
from customers.kernel.database import environment_scope
from tests.desk import Desk
from tests.subscriptions.priced import growing

END_OF_APRIL = "2026-04-30T23:59:59Z"
EVENTS = "/admin/metering/usageevent/"


def test_from_a_line_to_its_events_and_back(api, acme, operator):
    # given an invoice, and an event that came after it
    seller = growing(api, acme.test)
    early = seller.use(1_200_000, "2026-04-03T09:30:00Z")
    first = seller.billed(cutoff_date=END_OF_APRIL)
    late = seller.use(100_000, "2026-04-04T09:30:00Z")
    second = seller.billed(cutoff_date=END_OF_APRIL)
    desk = Desk(operator, acme.test)

    for invoice, own, other in ((first, early, late), (second, late, early)):
        # when
        line = invoice["line_items"][0]["id"]
        path = f"{EVENTS}?line={line}"
        assert f'href="{path}"' in desk.open(f"/admin/billing/invoice/{invoice['id']}/change/")
        shown = desk.open(path)
        # then
        assert own in shown
        assert other not in shown
        back = desk.open(f"{EVENTS}{own}/change/")
        assert invoice["number"] in back
    assert "it came when its period had been billed" in desk.open(f"{EVENTS}{late}/change/")
    assert "it came when its period had been billed" not in desk.open(f"{EVENTS}{early}/change/")


def test_a_line_that_there_is_not_has_no_events(api, acme, operator, rival):
    # given
    seller = growing(api, acme.test)
    event = seller.use(1_200_000, "2026-04-03T09:30:00Z")
    invoice = seller.billed(cutoff_date=END_OF_APRIL)
    usage, fee = (line["id"] for line in invoice["line_items"])
    # then
    desk = Desk(operator, acme.test)
    for line in (fee, "iln_nonsense", "%00"[:1]):
        assert event not in desk.open(f"{EVENTS}?line={line}")
    desk.look_at(rival.test)
    assert event not in desk.open(f"{EVENTS}?line={usage}")


def test_the_pages_stay_below_fifteen_queries(api, acme, operator):
    seller = growing(api, acme.test)
    event = seller.use(1_200_000, "2026-04-03T09:30:00Z")
    invoice = seller.billed(cutoff_date=END_OF_APRIL)
    desk = Desk(operator, acme.test)
    line = invoice["line_items"][0]["id"]
    for path in (
        f"{EVENTS}?line={line}",
        f"{EVENTS}{event}/change/",
        f"/admin/billing/invoice/{invoice['id']}/change/",
    ):
        assert desk.queries(path) <= 15, path


def test_the_arithmetic_of_a_line_is_shown_as_it_was_rated(api, acme, operator):
    # given
    seller = growing(api, acme.test)
    seller.use(1_200_000, "2026-04-03T09:30:00Z")
    invoice = seller.billed(cutoff_date=END_OF_APRIL)
    # then
    with environment_scope(acme.test.id):
        usage, fee = InvoiceLine.objects.select_related("invoice").order_by("position")
    assert list(usage.reckoned) == [
        Part(name="Tier 1, up to 100,000", quantity="100,000", unit_price="0", amount="0.00"),
        Part(name="Tier 2, up to 1,000,000", quantity="900,000", unit_price="0.0001", amount="90.00"),
        Part(name="Tier 3, above 1,000,000", quantity="200,000", unit_price="0.00005", amount="10.00"),
    ]
    assert list(fee.reckoned) == []
    shown = Desk(operator, acme.test).open(f"/admin/billing/invoice/{invoice['id']}/change/")
    for text in ("Tier 2, up to 1,000,000", "900,000", "90.00", "Tier 3, above 1,000,000"):
        assert text in shown
    assert len(api.get(f"/v1/invoices/{invoice['id']}/pdf").bytes) > 10_000
