"""Notes about customers: on the customer's page, in the timeline, and each on a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from customers.admin.customer_forms import ReasonForm
from customers.admin.customer_panels import (
    Act,
    CustomerAction,
    CustomerPanel,
    action_register,
    panel_register,
)
from customers.admin.customers import action_url, customer_link
from customers.admin.dialogs import Deed, Dialog, Outcome, caller_of
from customers.admin.display import NOTHING, badge, copyable, instant_shown
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, list_url, record_url
from customers.admin.requests import environment_of, of_admin
from customers.admin.timeline import Before, Happening, TimelineSource, timeline_register
from customers.models import Customer, CustomerNote
from customers.services.customer_notes import (
    NOTE_MAX,
    customer_note_add,
    customer_note_pin,
    customer_note_withdraw,
)
from customers.services.customers import customer_find_id

VIEW: Final = "customers.view_customernote"
#: To write notes, and to pin what is there.
ADD: Final = "customers.add_customernote"
#: To withdraw what others wrote.
CHANGE: Final = "customers.change_customernote"
_SHOWN: Final = 6
_LETTERS: Final = 500


class NoteForm(forms.Form):
    text = forms.CharField(
        max_length=NOTE_MAX,
        label="Note",
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Colleagues see it with your name; the customer never does. No card numbers, no passwords.",
    )
    is_pinned = forms.BooleanField(required=False, label="Pin it above the others")

    def clean_text(self) -> str:
        return str(self.cleaned_data["text"]).replace("\r\n", "\n")


class NothingForm(forms.Form):
    """A deed that needs no word."""


# --- On the customer's page


def _panel(request: HttpRequest, customer: Customer) -> str:
    standing = CustomerNote.objects.filter(customer_id=customer.pk, withdrawn_at__isnull=True)
    notes = list(standing.order_by("-is_pinned", "-created_at", "-id")[: _SHOWN + 1])
    context = {
        "rows": [_row(note) for note in notes[:_SHOWN]],
        "more": list_url(CustomerNote, q=customer.public_id) if len(notes) > _SHOWN else "",
        "add": action_url(customer, "note") if request.user.has_perm(ADD) else "",
    }
    return render_to_string("admin/purser/panel_notes.html", context)


def _row(note: CustomerNote) -> dict[str, Any]:
    return {
        "url": record_url(CustomerNote, note.public_id),
        "text": Truncator(note.text).chars(_LETTERS),
        "is_cut": len(note.text) > _LETTERS,
        "author": note.author,
        "at": instant_shown(note.created_at),
        "is_pinned": note.is_pinned,
    }


def _add(act: Act) -> Outcome:
    note = customer_note_add(caller=act.caller, customer_id=act.customer.id, now=act.now, **act.data)
    return Outcome(message=f"Your note about {act.customer.label} is kept.", effect_id=note.id)


def _happenings(customer: Customer, before: Before, limit: int) -> Iterator[Happening]:
    mine = before.of(CustomerNote.objects.filter(customer_id=customer.pk), instant="created_at")
    for note in mine.order_by("-created_at", "-id")[:limit]:
        yield Happening(
            at=note.created_at,
            id=note.id,
            title="Note, withdrawn" if note.withdrawn_at else "Note",
            url=record_url(CustomerNote, note.public_id),
            note=Truncator(note.text).chars(_LETTERS),
            actor=note.author,
        )


panel_register(
    CustomerPanel(key="notes", title="Notes", order=5, permission=VIEW, render=_panel, place="side")
)
action_register(
    CustomerAction(
        slug="note",
        label="Note",
        title="Write a note",
        submit="Keep note",
        icon="sticky_note_2",
        order=70,
        permission=ADD,
        form=NoteForm,
        perform=_add,
        has_preview=False,
    )
)
timeline_register(
    TimelineSource(
        kind="notes", label="Notes", order=55, permission=VIEW, load=_happenings, icon="sticky_note_2"
    )
)


# --- One note, and all of them


class StandingFilter(admin.SimpleListFilter):
    """Withdrawn ones stay out of sight until somebody asks for them."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("pinned", "Pinned"), ("withdrawn", "Withdrawn"), ("all", "Standing and withdrawn")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        everything: Iterator[Any] = super().choices(changelist)
        yield {**next(everything), "display": "Standing"}
        yield from everything

    def queryset(self, request: HttpRequest, queryset: QuerySet[CustomerNote]) -> QuerySet[CustomerNote]:
        if self.value() == "all":
            return queryset
        if self.value() == "pinned":
            return queryset.filter(is_pinned=True)
        return queryset.filter(withdrawn_at__isnull=self.value() != "withdrawn")


@admin.register(CustomerNote)
class CustomerNoteAdmin(RecordAdmin):
    noun, nouns = "note", "notes"
    id_prefix = "nte"
    icon = "sticky_note_2"
    list_display = ("when", "customer_shown", "said", "author", "status")
    list_display_links = ("when",)
    list_filter = (StandingFilter,)
    list_select_related = ("customer",)
    search_fields = ("id",)
    search_help_text = "Customer, note id or author"

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().page_queryset(request).select_related("customer")

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        environment = environment_of(request)
        found = super().search(request, rows, term)
        if environment is None or found.exists():
            return found
        customer_id = customer_find_id(environment_id=environment.id, by="id", reference=term)
        if customer_id is not None:
            return rows.filter(customer_id=customer_id)
        return rows.filter(author__in=(term, f"user:{term}"))

    @admin.display(description="Written")
    def when(self, note: CustomerNote) -> SafeString:
        return instant_shown(note.created_at)

    @admin.display(description="Customer")
    def customer_shown(self, note: CustomerNote) -> SafeString:
        return customer_link(note.customer)

    @admin.display(description="Note")
    def said(self, note: CustomerNote) -> str:
        return Truncator(note.text).chars(160) or NOTHING

    @admin.display(description="Status")
    def status(self, note: CustomerNote) -> SafeString:
        if note.withdrawn_at:
            return badge("Withdrawn", "neutral")
        return badge("Pinned", "info") if note.is_pinned else NOTHING

    def page(self, request: HttpRequest, record: CustomerNote) -> Page:
        facts = [
            Fact("Customer", customer_link(record.customer)),
            Fact("Author", record.author),
            Fact("Written", instant_shown(record.created_at)),
            Fact("Id", copyable(record.public_id)),
        ]
        if record.withdrawn_at:
            facts += [
                Fact("Withdrawn", instant_shown(record.withdrawn_at)),
                Fact("By", record.withdrawn_by),
                Fact("Reason", record.withdrawal_reason),
            ]
        said = format_html('<p class="p-note-text">{}</p>', record.text or "Its text is gone.")
        return Page(
            heading=f"About {record.customer.label}",
            kind="Note",
            badges=[self.status(record)] if record.withdrawn_at or record.is_pinned else [],
            sections=[Section("What it says", html=said), Section("Note", facts)],
            buttons=list(self._buttons(request, record)),
        )

    # --- What can be done to it

    def further_urls(self) -> list[URLPattern]:
        return self.deed_urls(self.deed_view, ("pin", "withdraw"))

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        note = self.found_or_404(request, object_id)
        dialog = _pin_dialog(request, note) if deed == "pin" else _withdraw_dialog(request, note)
        allowed = request.user.has_perm(ADD) if deed == "pin" else _may_withdraw(request, note)
        return self.dialog_answer(request, dialog, allowed=allowed, original=note)

    def _buttons(self, request: HttpRequest, note: CustomerNote) -> Iterator[Button]:
        if note.withdrawn_at:
            return
        if request.user.has_perm(ADD):
            label = "Unpin" if note.is_pinned else "Pin"
            yield Button(label, _deed_url(note, "pin"), icon="push_pin", opens_dialog=True)
        if _may_withdraw(request, note):
            url = _deed_url(note, "withdraw")
            yield Button("Withdraw", url, icon="delete", tone="danger", opens_dialog=True)


def _deed_url(note: CustomerNote, deed: str) -> str:
    return reverse(f"admin:customers_customernote_{deed}", args=[note.public_id])


def _may_withdraw(request: HttpRequest, note: CustomerNote) -> bool:
    """One's own, while one may write any; those of others take more."""
    is_own = note.author == of_admin(request).caller.actor
    return request.user.has_perm(CHANGE) or (is_own and request.user.has_perm(ADD))


def _pin_dialog(request: HttpRequest, note: CustomerNote) -> Dialog:
    def deed(_data: dict[str, Any], _key: str) -> Outcome:
        customer_note_pin(
            caller=caller_of(request), note_id=note.id, is_pinned=not was_pinned, now=of_admin(request).now
        )
        return Outcome(message="Unpinned." if was_pinned else "Pinned.", effect_id=note.id)

    was_pinned = note.is_pinned
    return _dialog(
        note,
        deed,
        title="Unpin this note" if was_pinned else "Pin this note",
        submit="Unpin" if was_pinned else "Pin",
        form=NothingForm,
        family="customer_note.pin",
        intro="It stands among the others again." if was_pinned else "It stands above the others.",
    )


def _withdraw_dialog(request: HttpRequest, note: CustomerNote) -> Dialog:
    def deed(data: dict[str, Any], _key: str) -> Outcome:
        customer_note_withdraw(
            caller=caller_of(request), note_id=note.id, reason=data["reason"], now=of_admin(request).now
        )
        return Outcome(
            message="The note is withdrawn.", effect_id=note.id, url=record_url(Customer, note.customer_id)
        )

    return _dialog(
        note,
        deed,
        title="Withdraw this note",
        submit="Withdraw note",
        form=ReasonForm,
        family="customer_note.withdraw",
        intro="Its text is removed for good. That there was one, of whom, and who withdrew it, stays.",
        is_danger=True,
    )


def _dialog(note: CustomerNote, deed: Deed, **more: Any) -> Dialog:
    back = record_url(CustomerNote, note.public_id)
    return Dialog(deed=deed, back=back, subject=note.customer.label, **more)
