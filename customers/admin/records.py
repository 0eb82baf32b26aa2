"""What services write is shown here and changed nowhere: one list, one page of facts, no form."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol
from urllib.parse import urlencode
from uuid import UUID

from django.contrib.admin.options import IS_POPUP_VAR
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.views import ChangeList

from customers.admin.dialogs import Dialog, dialog_response
from customers.admin.exports import csv_lines
from customers.admin.paging import BoundedPaginator
from customers.admin.request_ids import has_instant, rows_of_request
from customers.admin.requests import environment_of, of_admin
from customers.kernel.ids import typeid, typeid_parse, uuid_parse
from customers.services.audit import audit_record


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of a record's page."""

    label: str
    value: object
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A titled group of facts, or a panel that brings its own HTML."""

    title: str
    facts: Sequence[Fact] = ()
    html: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """Something one can do from a record's page. `opens_dialog`: in place, where the browser can."""

    label: str
    url: str
    icon: str = ""
    tone: str = "plain"
    opens_dialog: bool = False


class Offered(Protocol):
    """A deed that a record's page offers, to whoever has its permission."""

    @property
    def slug(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def icon(self) -> str: ...
    @property
    def tone(self) -> str: ...
    @property
    def permission(self) -> str: ...


def deed_buttons(
    request: HttpRequest, offered: Iterable[Offered], url_of: Callable[[str], str]
) -> list[Button]:
    """The buttons of these deeds, as far as the person may do them; `url_of` is told a deed's slug."""
    return [
        Button(deed.label, url_of(deed.slug), icon=deed.icon, tone=deed.tone, opens_dialog=True)
        for deed in offered
        if request.user.has_perm(deed.permission)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A record as its page shows it."""

    heading: str
    kind: str
    badges: Iterable[str] = ()
    sections: Sequence[Section] = ()
    buttons: Sequence[Button] = ()
    crumbs: Sequence[tuple[str, str]] = field(default=())


def record_url(model: type[Model], reference: object) -> str:
    """The page of an object, by its TypeID or UUID."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[str(reference)])


def list_url(model: type[Model], **filters: object) -> str:
    """The list of a kind of object, filtered."""
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{url}?{urlencode(filters)}" if filters else url


class RecordChangeList(ChangeList):
    """Links to pages by the ids that people see."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not request.GET:
            # Nobody counted all rows; without this the header says "n results" as if something were left out.
            self.full_result_count = self.result_count

    def url_for_result(self, result: Any) -> str:
        prefix = self.model_admin.id_prefix
        return record_url(self.model, typeid(prefix, result.pk) if prefix else result.pk)


class RecordAdmin(ModelAdmin):
    """A list and a page. Nobody adds, changes or deletes, whatever their permissions say; superusers included."""

    #: What people call one of these, and several.
    noun: ClassVar[str]
    nouns: ClassVar[str]
    #: The TypeID prefix of the objects, by which addresses and the search name them.
    id_prefix: ClassVar[str] = ""
    #: A symbol for search results.
    icon: ClassVar[str] = "data_object"
    #: Whether an index leads to the objects that a request made.
    request_indexed: ClassVar[bool] = False
    page_template: ClassVar[str] = "admin/purser/record.html"

    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_max_show_all = 50
    list_filter_submit = True
    list_filter_sheet = True
    list_fullwidth = False
    list_after_template = "admin/purser/list_export.html"
    actions: Sequence[str] | None = None
    # Newest first by the index; any other order would sort the whole table.
    sortable_by: Sequence[str] = ()
    search_fields: Sequence[str] = ()

    def __init__(self, model: type[Model], admin_site: Any) -> None:
        super().__init__(model, admin_site)
        # Words for people are the admin's affair, so they stand here and not in the model and its migrations.
        model._meta.verbose_name, model._meta.verbose_name_plural = self.noun, self.nouns

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RecordChangeList

    def get_urls(self) -> list[URLPattern]:
        wrap, name = self.admin_site.admin_view, f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", wrap(self.changelist_view), name=f"{name}_changelist"),
            path("add/", wrap(self.add_view), name=f"{name}_add"),
            path("export/", wrap(self.export_view), name=f"{name}_export"),
            *self.further_urls(),
            path("<path:object_id>/change/", wrap(self.change_view), name=f"{name}_change"),
        ]

    def further_urls(self) -> list[URLPattern]:
        """Dialogs and sub-pages of this kind of object."""
        return []

    def deed_urls(self, view: Callable[..., HttpResponse], deeds: Iterable[str]) -> list[URLPattern]:
        """`<id>/<deed>/` for each, answered by `view(request, object_id, deed)`."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path(
                f"<str:object_id>/{deed}/",
                self.admin_site.admin_view(partial(view, deed=deed)),
                name=f"{name}_{deed}",
            )
            for deed in deeds
        ]

    def dialog_answer(
        self, request: HttpRequest, dialog: Dialog, *, allowed: bool, original: Any = None
    ) -> HttpResponse:
        """The dialog; where it becomes a page, one of this kind of object, or of `original`."""
        context = {**self.admin_site.each_context(request), "opts": self.opts}
        if original is not None:
            context["original"] = original
        return dialog_response(request, dialog, allowed=allowed, context=context)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The object named by TypeID or UUID, among those of the environment in view."""
        key = typeid_parse(self.id_prefix, object_id) or uuid_parse(object_id)
        return self.page_queryset(request).filter(pk=key).first() if key else None

    def page_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """What a page needs of its object; a list may need less."""
        rows: QuerySet[Any] = self.get_queryset(request)
        return rows

    def found_or_404(self, request: HttpRequest, object_id: str) -> Any:
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id} in this environment.")
        return found

    @property
    def export_url(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_export")

    def export_view(self, request: HttpRequest) -> StreamingHttpResponse:
        """The list as it is filtered, all of it, as CSV. That somebody took it along is on record."""
        environment = environment_of(request)
        if request.method != "GET" or environment is None or not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_changelist_instance(request).get_queryset(request)
        asked = of_admin(request)
        audit_record(
            caller=asked.caller,
            action=f"{self.opts.model_name}.exported",
            object_type=self.opts.model_name or "",
            object_id=request.GET.urlencode()[:255],
            now=asked.now,
        )
        lines = csv_lines(rows, id_prefix=self.id_prefix, environment_id=environment.id)
        answer = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        name = f"{self.nouns.replace(' ', '-')}-{environment.kind}-{asked.now:%Y-%m-%d}.csv"
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        raise PermissionDenied

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied
        record = self.found_or_404(request, object_id)
        return self.page_response(request, record, self.page(request, record))

    def page_response(
        self, request: HttpRequest, record: Any, page: Page, **more: object
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": page.heading,
            "opts": self.opts,
            "original": record,
            "page": page,
            IS_POPUP_VAR: False,
            **more,
        }
        return TemplateResponse(request, self.page_template, context)

    def page(self, request: HttpRequest, record: Any) -> Page:
        """What the page says; each kind of object knows its own."""
        raise NotImplementedError

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if has_instant(term) and self.knows_requests:
            return self.of_request(queryset, term), False
        return self.search(request, queryset, term), False

    @property
    def knows_requests(self) -> bool:
        """Whether objects of this kind say which request made them."""
        return any(each.name == "request_id" for each in self.opts.get_fields())

    def of_request(self, rows: QuerySet[Any], request_id: str) -> QuerySet[Any]:
        return rows_of_request(rows, request_id, indexed=self.request_indexed)

    def search(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """Rows that a text finds: here by id alone, because an index answers that."""
        key = typeid_parse(self.id_prefix, term) or uuid_parse(term)
        return rows.filter(pk=key) if key else rows.none()


def id_of(text: str, *prefixes: str) -> UUID | None:
    """The UUID in a TypeID of one of these prefixes."""
    return next((found for prefix in prefixes if (found := typeid_parse(prefix, text))), None)
