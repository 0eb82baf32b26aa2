"""What stands on a customer's page. Higher apps add theirs here; nothing is imported upward.

panel_register(CustomerPanel(key="holds", title="Holds", order=40, permission="billing.view_hold", render=holds_panel))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal
from uuid import UUID

from django import forms
from django.http import HttpRequest

from customers.admin.approvable import form_again, performed
from customers.admin.dialogs import Outcome
from customers.kernel.caller import Caller
from customers.models import Customer
from customers.services.approval_deeds import ApprovalDeed, DeedCall, Performed, deed_register

Place = Literal["top", "main", "side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerPanel:
    """A part of the page. `render` gives its HTML, or "" when it has nothing to say.

    One that `comes_later` is asked for by the page once it stands, so that the page itself waits for less.
    """

    key: str
    title: str
    order: int
    permission: str
    render: Callable[[HttpRequest, Customer], str]
    place: Place = "main"
    comes_later: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Somebody doing something to a customer."""

    caller: Caller
    customer: Customer
    data: Mapping[str, Any]
    idempotency_key: str
    now: datetime
    #: For the movement that this makes, such as who approved it.
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """Above a limit per role this takes two people. `amount`: how much the form asks for of this customer, and its
    currency."""

    deed: str
    amount: Callable[[Customer, Mapping[str, Any]], tuple[int, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerAction:
    """A button on the page that opens a dialog, and what it does: `perform` runs for the preview too."""

    slug: str
    label: str
    title: str
    submit: str
    icon: str
    order: int
    permission: str
    form: Callable[..., forms.Form]
    perform: Callable[[Act], Outcome]
    is_primary: bool = False
    is_danger: bool = False
    has_preview: bool = True
    intro: str = ""
    initial: Callable[[Customer], Mapping[str, Any]] = lambda _: {}
    offered: Callable[[Customer], bool] = lambda _: True
    limited: Limited | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerColumn:
    """A column of the customer list. `load` reads what it needs for all rows of a page at once."""

    key: str
    title: str
    order: int
    load: Callable[[HttpRequest, Iterable[UUID]], Mapping[UUID, object]]
    is_amount: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerFilter:
    """A filter of the customer list."""

    order: int
    filter_class: type


_panels: Final[dict[str, CustomerPanel]] = {}
_actions: Final[dict[str, CustomerAction]] = {}
_columns: Final[dict[str, CustomerColumn]] = {}
_filters: Final[list[CustomerFilter]] = []


def panel_register(panel: CustomerPanel) -> None:
    _panels[panel.key] = panel


def action_register(action: CustomerAction) -> None:
    _actions[action.slug] = action
    if action.limited is not None:
        deed_register(
            ApprovalDeed(
                name=action.limited.deed,
                label=action.title,
                permission=action.permission,
                perform=partial(_approved, action),
            )
        )


def _approved(action: CustomerAction, call: DeedCall) -> Performed:
    """The action, as the request for approval has kept it."""
    assert call.customer is not None  # noqa: S101 - an action is one on a customer
    act = Act(
        caller=call.caller,
        customer=call.customer,
        data=form_again(action.form, call.payload),
        idempotency_key=call.idempotency_key,
        now=call.now,
        metadata=call.metadata,
    )
    return performed(action.perform(act))


def column_register(column: CustomerColumn) -> None:
    _columns[column.key] = column


def filter_register(entry: CustomerFilter) -> None:
    _filters.append(entry)


def panels_for(request: HttpRequest) -> list[CustomerPanel]:
    """The panels this person may see, in order."""
    return _allowed(request, _panels.values())


def panel_named(request: HttpRequest, key: str) -> CustomerPanel | None:
    """The panel, if there is one of this key and this person may see it."""
    return next((panel for panel in panels_for(request) if panel.key == key), None)


def actions_for(request: HttpRequest) -> list[CustomerAction]:
    """The actions this person may take, in order."""
    return _allowed(request, _actions.values())


def action_named(slug: str) -> CustomerAction | None:
    return _actions.get(slug)


def columns() -> list[CustomerColumn]:
    return sorted(_columns.values(), key=lambda column: column.order)


def filters() -> list[type]:
    return [entry.filter_class for entry in sorted(_filters, key=lambda entry: entry.order)]


def _allowed(request: HttpRequest, entries: Iterable[Any]) -> list[Any]:
    user = request.user
    return sorted(
        (entry for entry in entries if user.has_perm(entry.permission)), key=lambda entry: entry.order
    )
