"""Requests for approval: the queue, a page with what was to happen beside what would happen now, and the decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from customers.admin.approvable import by_person, changes_of, outcome_of
from customers.admin.approval_limits import limit_urls
from customers.admin.customer_forms import ReasonForm
from customers.admin.customers import customer_link
from customers.admin.dialogs import Dialog, Outcome
from customers.admin.display import badge, code, copyable, instant_shown, json_shown, text_or_nothing
from customers.admin.records import Button, Fact, Page, RecordAdmin, Section, record_url
from customers.admin.requests import of_admin, wants_fragment
from customers.errors import DomainError
from customers.kernel.clock import system_now
from customers.models import Approval, ApprovalState
from customers.selectors.approvals import waiting
from customers.services.approval_deeds import Preview, deed_find
from customers.services.approvals import (
    Decided,
    amount_text,
    approval_approve,
    approval_cancel,
    approval_is_open_to,
    approval_rehearse,
    approval_reject,
)

DECIDE: Final = "customers.change_approval"
_PREVIEW: Final = "What it does"
_TONES: Final = {
    ApprovalState.PENDING: "warning",
    ApprovalState.APPROVED: "good",
    ApprovalState.REJECTED: "bad",
    ApprovalState.EXPIRED: "neutral",
    ApprovalState.CANCELED: "neutral",
    ApprovalState.FAILED: "bad",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deed:
    """One button of a waiting request."""

    label: str
    title: str
    submit: str
    intro: str
    icon: str
    tone: str
    act: Callable[..., Decided]
    said: str
    has_preview: bool = False


_DEEDS: Final[Mapping[str, _Deed]] = {
    "approve": _Deed(
        label="Approve",
        title="Approve this request",
        submit="Approve and do it",
        intro="It is done at once, in the name of whoever asked, and only if it still does what was asked for.",
        icon="check",
        tone="primary",
        act=approval_approve,
        said="Approved and done.",
        has_preview=True,
    ),
    "reject": _Deed(
        label="Reject",
        title="Reject this request",
        submit="Reject",
        intro="Nothing is done. Whoever asked finds your reason here.",
        icon="block",
        tone="danger",
        act=approval_reject,
        said="Rejected. Nothing was done.",
    ),
    "cancel": _Deed(
        label="Take back",
        title="Take this request back",
        submit="Take it back",
        intro="Nothing is done, and nobody needs to decide any more.",
        icon="undo",
        tone="plain",
        act=approval_cancel,
        said="Taken back. Nothing was done.",
    ),
}


class QueueFilter(SimpleListFilter):
    """What waits comes first."""

    title = "queue"
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("mine", "Asked by me"),
            ("decided", "Decided"),
            ("broken-glass", "Done alone (break-glass)"),
            ("all", "All"),
        ]

    def choices(self, changelist: Any) -> Iterator[Any]:
        everything: Iterator[Any] = super().choices(changelist)
        yield {**next(everything), "display": "Waiting"}
        yield from everything

    def queryset(self, request: HttpRequest, queryset: QuerySet[Approval]) -> QuerySet[Approval]:
        still = waiting(wall_now=system_now())
        chosen = {
            "mine": lambda: queryset.filter(requester_id=request.user.pk),
            "decided": lambda: queryset.exclude(still),
            "broken-glass": lambda: queryset.filter(is_break_glass=True),
            "all": lambda: queryset,
        }
        return chosen.get(self.value() or "", lambda: queryset.filter(still))()


@admin.register(Approval)
class ApprovalAdmin(RecordAdmin):
    noun, nouns = "approval", "approvals"
    id_prefix = "apr"
    icon = "approval"
    list_display = ("asked", "what", "about", "amount_shown", "who", "state_shown", "until", "decided")
    list_display_links = ("what",)
    list_filter = (QueueFilter,)
    list_select_related = ("customer",)
    search_fields = ("id",)
    search_help_text = "Approval id (apr_…)"
    list_before_template = "admin/purser/approval_links.html"

    @admin.display(description="Asked")
    def asked(self, approval: Approval) -> SafeString:
        return instant_shown(approval.requested_at)

    @admin.display(description="Deed")
    def what(self, approval: Approval) -> str:
        return deed_label(approval)

    @admin.display(description="About")
    def about(self, approval: Approval) -> object:
        return customer_link(approval.customer) if approval.customer else approval.subject

    @admin.display(description="Amount")
    def amount_shown(self, approval: Approval) -> str:
        return amount_text(approval)

    @admin.display(description="Asked by")
    def who(self, approval: Approval) -> SafeString:
        return code(approval.requested_by)

    @admin.display(description="State")
    def state_shown(self, approval: Approval) -> SafeString:
        return _state_badge(approval)

    @admin.display(description="Waits until")
    def until(self, approval: Approval) -> SafeString:
        return instant_shown(approval.expires_at if approval.state == ApprovalState.PENDING else None)

    @admin.display(description="Decided by")
    def decided(self, approval: Approval) -> SafeString:
        return code(approval.decided_by)

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().page_queryset(request).select_related("customer")

    def page(self, request: HttpRequest, record: Approval) -> Page:
        is_waiting = record.state_at(system_now()) == ApprovalState.PENDING
        return Page(
            heading=f"{deed_label(record)}: {amount_text(record)}",
            kind="Approval",
            badges=[_state_badge(record), *_glass(record)],
            sections=[
                Section("Request", _request_facts(record)),
                _later_section(record) if is_waiting else _kept_section(record),
                *_decision(record),
                Section("Filled in", html=json_shown(record.payload), hint="The form, as its maker sent it."),
            ],
            buttons=self._buttons(request, record) if is_waiting else [],
        )

    def _buttons(self, request: HttpRequest, approval: Approval) -> list[Button]:
        return [
            Button(
                _DEEDS[name].label,
                reverse(f"admin:customers_approval_{name}", args=[approval.public_id]),
                icon=_DEEDS[name].icon,
                tone=_DEEDS[name].tone,
                opens_dialog=True,
            )
            for name in _offered(request, approval)
        ]

    def further_urls(self) -> list[URLPattern]:
        preview = path(
            "<str:object_id>/preview/",
            self.admin_site.admin_view(self.preview_view),
            name="customers_approval_preview",
        )
        return [*limit_urls(self.admin_site), preview, *self.deed_urls(self.deed_view, _DEEDS)]

    def preview_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """What a waiting request would do now: inside its page, or as a page for those without scripts."""
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        approval = self.found_or_404(request, object_id)
        html = _preview(request, approval)
        if wants_fragment(request):
            return HttpResponse(html)
        heading = f"{deed_label(approval)}: {amount_text(approval)}"
        page = Page(heading=heading, kind="Approval", sections=[Section(_PREVIEW, html=html)])
        return self.page_response(request, approval, page)

    def deed_view(self, request: HttpRequest, object_id: str, deed: str) -> HttpResponse:
        approval, chosen = self.found_or_404(request, object_id), _DEEDS[deed]
        dialog = Dialog(
            title=chosen.title,
            submit=chosen.submit,
            form=ReasonForm,
            deed=partial(_do, request, approval, chosen),
            family=f"approval.{deed}",
            back=record_url(Approval, approval.public_id),
            subject=f"{deed_label(approval)}: {amount_text(approval)} · {approval.subject} · {approval.requested_by}",
            intro=chosen.intro,
            is_danger=chosen.tone == "danger",
            has_preview=chosen.has_preview,
        )
        allowed = _may(request, approval, deed)
        return self.dialog_answer(request, dialog, allowed=allowed, original=approval)


def deed_label(approval: Approval) -> str:
    deed = deed_find(approval.deed)
    return deed.label if deed else approval.deed


def _may(request: HttpRequest, approval: Approval, name: str) -> bool:
    """What roles allow; whose request it is, is the services' affair. To approve is to do: that takes both rights."""
    if name == "cancel":
        return approval.requester_id == request.user.pk
    deed = deed_find(approval.deed)
    may_do = deed is not None and request.user.has_perm(deed.permission)
    return request.user.has_perm(DECIDE) and (may_do or name == "reject")


def _offered(request: HttpRequest, approval: Approval) -> Iterator[str]:
    if approval.requester_id == request.user.pk:
        yield "cancel"
    elif _may(request, approval, "reject"):
        if _may(request, approval, "approve") and approval_is_open_to(
            approval=approval, person=of_admin(request).user
        ):
            yield "approve"
        yield "reject"


def _do(request: HttpRequest, approval: Approval, deed: _Deed, data: Mapping[str, Any], _key: str) -> Outcome:
    done = deed.act(
        **by_person(request), approval_id=approval.id, reason=data["reason"], wall_now=system_now()
    )
    if done.refusal:
        return outcome_of(done, f"It cannot be done any more, so the request is closed: {done.refusal}")
    more = f" {done.performed.message}" if done.performed else ""
    return outcome_of(done, deed.said + more)


def _state_badge(approval: Approval) -> SafeString:
    state = approval.state_at(system_now())
    return badge(state.label, _TONES[state])


def _glass(approval: Approval) -> Iterator[SafeString]:
    if approval.is_break_glass:
        yield badge("Break-glass: done alone", "bad")


def _request_facts(approval: Approval) -> list[Fact]:
    about = customer_link(approval.customer) if approval.customer else approval.subject
    return [
        Fact("About", about),
        Fact("Amount", amount_text(approval)),
        Fact("Reason", approval.reason),
        Fact("Asked by", code(approval.requested_by)),
        Fact("Asked", instant_shown(approval.requested_at)),
        Fact("Waits until", instant_shown(approval.expires_at)),
        Fact("Id", copyable(approval.public_id)),
        Fact("Idempotency key", copyable(approval.idempotency_key), "The movement carries it."),
    ]


def _decision(approval: Approval) -> Iterator[Section]:
    if approval.decided_at is None:
        return
    result = (approval.result or {}).get("message", "")
    yield Section(
        "Decision",
        [
            Fact("State", _state_badge(approval)),
            Fact("Decided by", code(approval.decided_by)),
            Fact("Decided", instant_shown(approval.decided_at)),
            Fact("Reason", text_or_nothing(approval.decision_reason)),
            Fact("What came of it", text_or_nothing(result)),
        ],
    )


def _later_section(approval: Approval) -> Section:
    """The deed is done for it and rolled back, for which the page does not wait."""
    url = reverse("admin:customers_approval_preview", args=[approval.public_id])
    return Section(_PREVIEW, html=render_to_string("admin/purser/panel_later.html", {"url": url}))


def _preview(request: HttpRequest, approval: Approval) -> str:
    """Then and now, side by side. What is the same to an approval may look different: the balance moves all day."""
    if approval.state_at(system_now()) != ApprovalState.PENDING:
        return _kept(approval)
    then = Preview.from_json(approval.preview)
    asked, now, refusal, is_same = of_admin(request), None, "", False
    try:
        now = approval_rehearse(caller=asked.caller, approval=approval, now=asked.now).preview
        is_same = now.fingerprint() == approval.fingerprint
    except DomainError as error:
        refusal = " ".join([error.detail, *(one.message for one in error.errors)])
    context = {
        "then": {"changes": changes_of(then), "notes": then.notes},
        "now": {"changes": changes_of(now), "notes": now.notes} if now else None,
        "refusal": refusal,
        "is_same": is_same,
        "is_waiting": True,
    }
    return render_to_string("admin/purser/approval_previews.html", context)


def _kept_section(approval: Approval) -> Section:
    return Section(_PREVIEW, html=_kept(approval))


def _kept(approval: Approval) -> str:
    then = Preview.from_json(approval.preview)
    context = {"then": {"changes": changes_of(then), "notes": then.notes}, "is_waiting": False}
    return render_to_string("admin/purser/approval_previews.html", context)
