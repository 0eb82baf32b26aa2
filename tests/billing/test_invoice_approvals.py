"""Two people for what gives money away by hand: voiding, crediting, paying back, marking as paid, giving up."""

from __future__ import annotations

import re
from typing import Any

import pytest

from billing.models import CreditNote, Invoice, InvoiceEvent, InvoiceStatus
from billing.services.credit_notes import credit_note_create
from billing.services.manual_payments import invoice_mark_paid
from billing.services.payments import Wish, invoice_charge
from customers.kernel.database import environment_scope
from customers.models import Approval, ApprovalLimit, ApprovalState, Customer
from tests.billing.invoicing import NOW, make_customer, make_invoice
from tests.billing.test_invoice_admin import again, deed
from tests.clock import clock_set
from tests.conftest import Character, World
from tests.desk import Desk, somebody

LIMITS = "/admin/customers/approval/limits/"
WHY = {"reason": "Agreed on the phone"}


@pytest.fixture
def world(acme: Character) -> World:
    clock_set(acme.test, NOW)
    return acme.test


@pytest.fixture
def maker(world: World) -> Desk:
    """An operator does up to 1,000 alone."""
    return Desk(somebody("operator"), world)


@pytest.fixture
def checker(world: World) -> Desk:
    """Finance does up to 10,000."""
    return Desk(somebody("finance"), world)


@pytest.fixture
def customer(world: World) -> Customer:
    return make_customer(world)


def issued(world: World, customer: Customer, minor: int, **terms: Any) -> Invoice:
    return make_invoice(world, customer, minor, **terms)


def paid(world: World, invoice: Invoice) -> Invoice:
    with environment_scope(world.id):
        invoice_mark_paid(caller=world.caller, invoice_id=invoice.id, now=NOW)
    return again(world, invoice)


def refused(desk: Desk, invoice: Invoice, slug: str, **data: Any) -> str:
    answer = desk.send(deed(invoice, slug), {**WHY, **data})
    assert answer.status_code == 422
    found: str = answer.content.decode()
    return found


def ask(desk: Desk, world: World, invoice: Invoice, slug: str, **data: Any) -> Approval:
    answer = desk.send(deed(invoice, slug), {**WHY, **data, "ask": "1"})
    assert answer.status_code == 302, answer.content.decode()[:2000]
    return only(world)


def only(world: World) -> Approval:
    with environment_scope(world.id):
        return Approval.objects.latest("requested_at")


def page_of(approval: Approval) -> str:
    return f"/admin/customers/approval/{approval.public_id}/change/"


def approve(desk: Desk, approval: Approval) -> Any:
    path = f"/admin/customers/approval/{approval.public_id}/approve/"
    return desk.send(path, {"reason": "Looked at it"})


def events(world: World, invoice: Invoice) -> list[InvoiceEvent]:
    with environment_scope(world.id):
        return list(InvoiceEvent.objects.filter(invoice=invoice).order_by("id"))


def notes(world: World) -> list[tuple[str, int]]:
    with environment_scope(world.id):
        return list(CreditNote.objects.order_by("id").values_list("kind", "amount_minor"))


def limit(world: World, role: str, deed: str, amount: int | None, currency: str = "") -> None:
    with environment_scope(world.id):
        ApprovalLimit.objects.create(
            environment_id=world.id, role=role, deed=deed, amount=amount, currency=currency
        )


@pytest.mark.parametrize("slug", ["void", "mark-paid", "credit-note", "uncollectible"])
def test_up_to_the_limit_one_person_does_it(world: World, maker: Desk, customer: Customer, slug: str) -> None:
    invoice = issued(world, customer, 100_000)

    answer = maker.send(deed(invoice, slug), {**WHY, "kind": "reduction"})

    assert answer.status_code == 302
    given_up = {"void": InvoiceStatus.VOID, "uncollectible": InvoiceStatus.UNCOLLECTIBLE}
    assert again(world, invoice).status == given_up.get(slug, InvoiceStatus.PAID)


@pytest.mark.parametrize("slug", ["void", "mark-paid", "credit-note", "uncollectible"])
def test_above_it_the_form_says_so_and_does_nothing(
    world: World, maker: Desk, customer: Customer, slug: str
) -> None:
    invoice = issued(world, customer, 100_001)

    page = refused(maker, invoice, slug, kind="reduction")

    assert "This is above your limit of 1,000 USD. A second person decides." in page
    assert again(world, invoice).status == InvoiceStatus.ISSUED
    assert notes(world) == []
    assert len(events(world, invoice)) == 2
    # The preview says it as well, and shows what would happen.
    shown = maker.preview(deed(invoice, slug), {**WHY, "kind": "reduction"})
    assert "above your limit of 1,000 USD" in shown
    assert "1,000.01" in shown


def test_an_approved_void_is_done_in_the_makers_name_and_says_who_let_it(
    world: World, maker: Desk, checker: Desk, customer: Customer
) -> None:
    invoice = issued(world, customer, 250_000)

    approval = ask(maker, world, invoice, "void")

    assert (approval.deed, approval.amount, approval.currency) == ("invoices.void", 250_000, "usd")
    assert again(world, invoice).status == InvoiceStatus.ISSUED
    page = checker.open(page_of(approval))
    assert "Void an invoice: 2,500.00 USD" in page
    assert approve(checker, approval).status_code == 302
    assert again(world, invoice).status == InvoiceStatus.VOID
    [voided] = [event for event in events(world, invoice) if event.type == "invoice.voided"]
    assert (voided.actor, voided.reason) == (f"user:{maker.user.username}", WHY["reason"])
    assert voided.data == {
        "approval": approval.public_id,
        "approved_by": f"user:{checker.user.username}",
    }


def test_what_is_given_up_says_who_let_it(
    world: World, maker: Desk, checker: Desk, customer: Customer
) -> None:
    invoice = issued(world, customer, 250_000)

    approval = ask(maker, world, invoice, "uncollectible")

    assert (approval.deed, approval.amount) == ("invoices.give_up", 250_000)
    assert again(world, invoice).status == InvoiceStatus.ISSUED
    assert "Give up an invoice: 2,500.00 USD" in checker.open(page_of(approval))
    assert approve(checker, approval).status_code == 302
    assert again(world, invoice).status == InvoiceStatus.UNCOLLECTIBLE
    [event] = [event for event in events(world, invoice) if event.type == "invoice.uncollectible"]
    assert (event.actor, event.data["approved_by"]) == (
        f"user:{maker.user.username}",
        f"user:{checker.user.username}",
    )


def test_an_approved_payment_by_hand_keeps_what_the_bank_said(
    world: World, maker: Desk, checker: Desk, customer: Customer
) -> None:
    invoice = issued(world, customer, 250_000)
    approval = ask(maker, world, invoice, "mark-paid", reference="transfer 17")

    assert approve(checker, approval).status_code == 302

    assert again(world, invoice).status == InvoiceStatus.PAID
    [event] = [event for event in events(world, invoice) if event.type == "invoice.paid"]
    assert event.data["reference"] == "transfer 17"
    assert event.data["approved_by"] == f"user:{checker.user.username}"


def test_an_approved_credit_note_is_of_the_kind_and_amount_that_was_asked_for(
    world: World, maker: Desk, checker: Desk, customer: Customer
) -> None:
    invoice = paid(world, issued(world, customer, 500_000))
    # Part of a large invoice is measured by the part.
    small = {"kind": "balance", "amount_minor": "900"}
    assert maker.send(deed(invoice, "credit-note"), {**WHY, **small}).status_code == 302
    approval = ask(maker, world, invoice, "credit-note", kind="balance", amount_minor="2000.50")
    assert approval.deed == "invoices.credit"

    assert approve(checker, approval).status_code == 302

    assert notes(world) == [("balance", 90_000), ("balance", 200_050)]


def test_paying_back_has_a_limit_of_its_own(world: World, maker: Desk, checker: Desk) -> None:
    customer = make_customer(world, payment_provider="stripe")
    invoice = issued(world, customer, 50_000)
    with environment_scope(world.id):
        invoice_charge(caller=world.caller, invoice_id=invoice.id, wish=Wish(), now=NOW)
    limit(world, "operator", "invoices.refund", 0)

    page = refused(maker, invoice, "credit-note", kind="refund", amount_minor="1")

    assert "You may ask for this, and not do it alone." in page
    balance = {"kind": "balance", "amount_minor": "1"}
    assert maker.send(deed(invoice, "credit-note"), {**WHY, **balance}).status_code == 302
    approval = ask(maker, world, invoice, "credit-note", kind="refund", amount_minor="2")
    assert (approval.deed, approval.amount) == ("invoices.refund", 200)
    assert approve(checker, approval).status_code == 302
    assert notes(world) == [("balance", 100), ("refund", 200)]


def test_nothing_filled_in_is_all_that_there_is(world: World, maker: Desk, customer: Customer) -> None:
    invoice = paid(world, issued(world, customer, 100_001))

    assert "above your limit" in refused(maker, invoice, "credit-note", kind="balance")


def test_a_draft_is_owed_by_nobody_so_anybody_voids_it(world: World, maker: Desk, customer: Customer) -> None:
    draft = issued(world, customer, 9_000_000, is_draft=True)

    assert maker.send(deed(draft, "void"), WHY).status_code == 302

    assert again(world, draft).status == InvoiceStatus.VOID


@pytest.mark.parametrize("meanwhile", ["credited", "paid", "voided"])
def test_refused_when_the_invoice_is_another_by_then(
    world: World, maker: Desk, checker: Desk, customer: Customer, meanwhile: str
) -> None:
    invoice = issued(world, customer, 500_000)
    approval = ask(maker, world, invoice, "mark-paid" if meanwhile == "credited" else "void")
    owner = Desk(somebody("owner"), world)
    if meanwhile == "credited":
        with environment_scope(world.id):
            credit_note_create(caller=world.caller, invoice_id=invoice.id, amount_minor=100, now=NOW)
    else:
        slug = "mark-paid" if meanwhile == "paid" else "void"
        assert owner.send(deed(invoice, slug), WHY).status_code == 302
    before = again(world, invoice)

    answer = approve(checker, approval)

    after = again(world, invoice)
    assert (after.status, after.amount_due_minor) == (before.status, before.amount_due_minor)
    if meanwhile == "credited":
        assert "the world has changed meanwhile" in answer.content.decode()
        assert only(world).state == ApprovalState.PENDING
    else:
        # It cannot be done at all any more, which ends the request.
        assert only(world).state == ApprovalState.FAILED


def test_two_requests_for_the_same_goodwill_are_not_both_approved(
    world: World, maker: Desk, checker: Desk, customer: Customer
) -> None:
    invoice = paid(world, issued(world, customer, 900_000))
    goodwill = {"kind": "balance", "amount_minor": "2000"}
    first = ask(maker, world, invoice, "credit-note", **goodwill)
    second = ask(maker, world, invoice, "credit-note", **goodwill)

    assert approve(checker, first).status_code == 302
    assert "the world has changed meanwhile" in approve(checker, second).content.decode()

    assert notes(world) == [("balance", 200_000)]


def test_other_invoices_of_the_customer_stand_in_nobodys_way(
    world: World, maker: Desk, checker: Desk, customer: Customer
) -> None:
    """They move the customer's credit, which the preview shows."""
    invoice, other = issued(world, customer, 500_000), paid(world, issued(world, customer, 5_000))
    approval = ask(maker, world, invoice, "void")
    with environment_scope(world.id):
        credit_note_create(caller=world.caller, invoice_id=other.id, amount_minor=100, now=NOW)

    assert approve(checker, approval).status_code == 302

    assert again(world, invoice).status == InvoiceStatus.VOID


def test_a_limit_is_money_of_one_currency(world: World, maker: Desk, customer: Customer) -> None:
    """A thousand yen are few; an owner says so for yen alone."""
    yen, dollars = (
        issued(world, customer, 100_000, currency="jpy"),
        issued(world, customer, 100_001),
    )
    assert "above your limit of 1,000 JPY" in refused(maker, yen, "void")
    owner = Desk(somebody("owner"), world)
    said = {"role": "operator", "deed": "invoices.void", "rule": "amount", "amount": "150000"}

    assert owner.send(f"{LIMITS}set/", {**said, "currency": "JPY", **WHY}).status_code == 302

    assert maker.send(deed(yen, "void"), WHY).status_code == 302
    assert "above your limit of 1,000 USD" in refused(maker, dollars, "void")
    page = owner.open(LIMITS)
    rows = re.findall(r'<th scope="row" class="p-row">(.*?)</th>', page)
    assert 'Void an invoice<span class="p-second">JPY</span>' in rows
    assert 'Void an invoice<span class="p-second">main units of each currency</span>' in rows
    # The default again.
    back = {**said, "rule": "default", "amount": "", "currency": "jpy"}
    assert owner.send(f"{LIMITS}set/", {**back, **WHY}).status_code == 302
    assert ">JPY<" not in owner.open(LIMITS)


@pytest.mark.parametrize(
    ("deed", "currency"), [("credits.grant", "usd"), ("invoices.void", "us"), ("invoices.void", "u$d")]
)
def test_a_currency_is_for_money_and_has_three_letters(world: World, deed: str, currency: str) -> None:
    owner = Desk(somebody("owner"), world)
    said = {"role": "operator", "deed": deed, "rule": "any", "currency": currency, **WHY}

    assert owner.send(f"{LIMITS}set/", said).status_code == 422
    with environment_scope(world.id):
        assert not ApprovalLimit.objects.exists()


def test_whoever_may_not_bill_decides_no_invoice(world: World, customer: Customer) -> None:
    maker = Desk(somebody("operator"), world)
    approval = ask(maker, world, issued(world, customer, 500_000), "void")

    for role in ("viewer", "support", "operator"):
        # An operator may bill, and is above the limit as well.
        assert approve_raw(Desk(somebody(role), world), approval) in {403, 422}

    with environment_scope(world.id):
        assert Approval.objects.get(id=approval.id).state == ApprovalState.PENDING


def approve_raw(desk: Desk, approval: Approval) -> int:
    path = f"/admin/customers/approval/{approval.public_id}/approve/"
    sent = {"reason": "x", "token": "t" * 32}
    return int(desk.client.post(path, sent).status_code)
