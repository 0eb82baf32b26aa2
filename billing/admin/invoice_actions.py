"""What people do to an invoice: the API's services, with what they do shown before it is done.

Whoever knows more to do adds it: `invoice_action_register(InvoiceAction(slug="charge", …))`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from django import forms
from django.db.models import Sum

from billing.admin.invoice_forms import CreditNoteForm, EmailForm, MarkPaidForm
from billing.admin.invoice_text import invoice_text, money_shown, status_badge
from billing.models import CreditBalance, CreditNote, CreditNoteKind, Invoice, InvoiceStatus
from billing.selectors.invoices import invoice_get
from billing.services.credit_notes import credit_note_available, credit_note_create
from billing.services.invoice_emails import invoice_email_queue
from billing.services.invoice_states import UNPAID, invoice_locked, invoice_uncollectible
from billing.services.invoices import invoice_issue, invoice_void
from billing.services.manual_payments import invoice_mark_paid
from customers.admin.customer_forms import ReasonForm
from customers.admin.dialogs import Change, Outcome
from customers.admin.records import record_url
from customers.kernel.caller import Caller

#: Who may act on invoices.
CHANGE: Final = "billing.change_invoice"
#: What takes two people above a limit (invoice_approvals.py). To pay money back has one of its own.
VOID, MARK_PAID, CREDIT, REFUND = "invoices.void", "invoices.mark_paid", "invoices.credit", "invoices.refund"
GIVE_UP: Final = "invoices.give_up"


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceAct:
    """Somebody doing something to an invoice."""

    caller: Caller
    invoice: Invoice
    data: Mapping[str, Any]
    idempotency_key: str
    now: datetime
    #: Who let it happen, where it took two.
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def named(self) -> dict[str, Any]:
        """What every service asks for."""
        return {"caller": self.caller, "invoice_id": self.invoice.id, "now": self.now}


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLimit:
    """Above a limit per role this takes two people. `deed`: which limit, and `amount_minor`: of what is filled in."""

    deed: Callable[[Mapping[str, Any]], str]
    amount_minor: Callable[[Invoice, Mapping[str, Any]], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceAction:
    """A button on the page that opens a dialog, and what it does: `perform` runs for the preview too.

    `form_of` gives the form's class for an invoice. `is_stepwise`: it commits as it goes, so it has no preview.
    """

    slug: str
    label: str
    title: str
    submit: str
    icon: str
    order: int
    perform: Callable[[InvoiceAct], None]
    offered: Callable[[Invoice], bool]
    done: str
    form_of: Callable[[Invoice], Callable[..., forms.Form]] = lambda _: ReasonForm
    initial: Callable[[Invoice], Mapping[str, Any]] = lambda _: {}
    intro: str = ""
    tone: str = "plain"
    permission: str = CHANGE
    has_preview: bool = True
    is_stepwise: bool = False
    limit: InvoiceLimit | None = None


_actions: Final[dict[str, InvoiceAction]] = {}


def invoice_action_register(action: InvoiceAction) -> None:
    _actions[action.slug] = action


def action_named(slug: str) -> InvoiceAction | None:
    return _actions.get(slug)


def actions_offered(invoice: Invoice) -> list[InvoiceAction]:
    """What can be asked of it as it stands, in the order of its buttons."""
    offered = [action for action in _actions.values() if action.offered(invoice)]
    return sorted(offered, key=lambda action: action.order)


def acted(action: InvoiceAction, act: InvoiceAct) -> Outcome:
    """Do it, and say what it did."""
    before, worth = _standing(act.invoice), _worth(act.invoice)
    action.perform(act)
    invoice = invoice_get(environment_id=act.caller.environment_id, invoice_id=act.invoice.id)
    after = _standing(invoice)
    return Outcome(
        message=f"{action.done} {invoice_text(invoice)}.",
        effect_id=invoice.id,
        url=record_url(Invoice, invoice.public_id),
        changes=[
            Change(label=label, before=before[label] if before[label] != value else "", after=value)
            for label, value in after.items()
        ],
        effect=[*worth, *_worth(invoice)],
    )


def _worth(invoice: Invoice) -> list[str]:
    """What an approval is good for. Not the customer's credit, which other invoices move; nor a number to come."""
    credited = CreditNote.objects.filter(invoice=invoice).aggregate(sum=Sum("amount_minor", default=0))["sum"]
    return [invoice.public_id, invoice.status, f"due {invoice.amount_due_minor}", f"credited {credited}"]


def _standing(invoice: Invoice) -> dict[str, Any]:
    balance = CreditBalance.objects.filter(
        customer_id=invoice.customer_id, currency=invoice.currency.upper()
    ).first()
    return {
        "Status": status_badge(invoice),
        "Number": invoice_text(invoice),
        "Amount due": money_shown(invoice.amount_due_minor, invoice.currency),
        "Customer's credit": money_shown(balance.balance_minor if balance else 0, invoice.currency),
    }


def _issue(act: InvoiceAct) -> None:
    invoice_issue(**act.named, reason=act.data["reason"])


def _void(act: InvoiceAct) -> None:
    invoice_void(**act.named, reason=act.data["reason"], metadata=act.metadata)


def _mark_paid(act: InvoiceAct) -> None:
    invoice_mark_paid(
        **act.named,
        paid_at=act.data["paid_at"],
        reference=act.data["reference"],
        reason=act.data["reason"],
        metadata=act.metadata,
    )


def _credit(act: InvoiceAct) -> None:
    credit_note_create(
        **act.named,
        kind=act.data["kind"],
        amount_minor=act.data["amount_minor"],
        reason=act.data["reason"],
        metadata=act.metadata,
    )


def _give_up(act: InvoiceAct) -> None:
    invoice = invoice_locked(caller=act.caller, invoice_id=act.invoice.id)
    invoice_uncollectible(
        caller=act.caller, invoice=invoice, data=act.metadata, reason=act.data["reason"], now=act.now
    )


def _email(act: InvoiceAct) -> None:
    invoice_email_queue(caller=act.caller, invoice_id=act.invoice.id, to=act.data["to"])


def _owed(invoice: Invoice, _data: Mapping[str, Any]) -> int:
    """What is due; nobody owes a draft yet."""
    return 0 if invoice.status == InvoiceStatus.DRAFT else max(invoice.amount_due_minor, 0)


def _credited(invoice: Invoice, data: Mapping[str, Any]) -> int:
    given = data["amount_minor"]
    return int(credit_note_available(invoice=invoice, kind=data["kind"]) if given is None else given)


def _credit_deed(data: Mapping[str, Any]) -> str:
    return REFUND if data["kind"] == CreditNoteKind.REFUND else CREDIT


def _is(*statuses: str) -> Callable[[Invoice], bool]:
    return lambda invoice: invoice.status in statuses


invoice_action_register(
    InvoiceAction(
        slug="issue",
        label="Issue",
        title="Issue this draft",
        submit="Issue invoice",
        icon="send",
        order=10,
        perform=_issue,
        offered=_is(InvoiceStatus.DRAFT),
        done="Issued",
        intro="It gets its number, and its amounts stand from then on.",
        tone="primary",
    )
)
invoice_action_register(
    InvoiceAction(
        slug="mark-paid",
        label="Mark as paid",
        title="Mark as paid by hand",
        submit="Mark as paid",
        icon="task_alt",
        order=30,
        perform=_mark_paid,
        offered=_is(*UNPAID),
        done="Marked as paid:",
        form_of=lambda _: MarkPaidForm,
        intro="For money that came in outside of any payment provider: all that is due.",
        limit=InvoiceLimit(deed=lambda _: MARK_PAID, amount_minor=_owed),
    )
)
invoice_action_register(
    InvoiceAction(
        slug="credit-note",
        label="Credit note",
        title="Take money back",
        submit="Make credit note",
        icon="undo",
        order=40,
        perform=_credit,
        offered=_is(*UNPAID, InvoiceStatus.PAID),
        done="Made a credit note on",
        form_of=lambda invoice: partial(CreditNoteForm, invoice=invoice),
        intro="The invoice stands; the note takes back from what is due, or from what was paid.",
        limit=InvoiceLimit(deed=_credit_deed, amount_minor=_credited),
    )
)
invoice_action_register(
    InvoiceAction(
        slug="email",
        label="E-mail",
        title="Send by e-mail",
        submit="Send",
        icon="mail",
        order=50,
        perform=_email,
        offered=_is(
            InvoiceStatus.ISSUED, InvoiceStatus.PROCESSING, InvoiceStatus.PAID, InvoiceStatus.UNCOLLECTIBLE
        ),
        done="Sending",
        form_of=lambda _: EmailForm,
        initial=lambda invoice: {"to": invoice.customer.email or ""},
        intro="With its PDF. A job sends it; the events below say when it was sent.",
        has_preview=False,
    )
)
invoice_action_register(
    InvoiceAction(
        slug="uncollectible",
        label="Give up",
        title="Give up as uncollectible",
        submit="Give up",
        icon="money_off",
        order=60,
        perform=_give_up,
        offered=_is(InvoiceStatus.ISSUED),
        done="Given up:",
        intro="Nobody tries to charge it any longer. Should the money come nevertheless, it can be marked as paid.",
        tone="danger",
        limit=InvoiceLimit(deed=lambda _: GIVE_UP, amount_minor=_owed),
    )
)
invoice_action_register(
    InvoiceAction(
        slug="void",
        label="Void",
        title="Void this invoice",
        submit="Void invoice",
        icon="block",
        order=70,
        perform=_void,
        offered=_is(InvoiceStatus.DRAFT, *UNPAID),
        done="Voided",
        intro="Nobody owes it any more, the credit it used goes back, and what it billed can be billed again.",
        tone="danger",
        limit=InvoiceLimit(deed=lambda _: VOID, amount_minor=_owed),
    )
)
