"""The admin site: Purser's face. Looks and menu: config/unfold.py. Home: config/dashboard.py. Search: palette.py.

This module is loaded while the apps register their pages, so it imports none of them; the theme finds home and search
by the names given in its settings.
"""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from unfold.sites import UnfoldAdminSite

from customers.kernel.clock import elapsed_seconds
from customers.kernel.ids import uuid_parse
from customers.models import Environment
from customers.services.environments import IN_VIEW
from customers.services.single_sign_on import provider_configured


class PurserAdminSite(UnfoldAdminSite):
    site_title = "Purser"
    site_header = "Purser"
    index_title = "Home"
    enable_nav_sidebar = True
    login_template = "admin/purser/login.html"

    def get_urls(self) -> list[URLResolver | URLPattern]:
        choose = path("environment/", self.admin_view(self.environment_choose), name="environment_choose")
        # Nothing here has a page on a site besides this one, which is what the theme's shortcut would look for.
        theirs = [each for each in super().get_urls() if getattr(each, "name", None) != "view_on_site"]
        return [choose, *theirs]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        return {
            **context,
            "chosen_environment": getattr(request, "environment", None),
            "single_sign_on": provider_configured(),
        }

    def environment_choose(self, request: HttpRequest) -> HttpResponse:
        """GET: what there is to choose from. POST: from now on this session looks at that one.

        Then home opens, because a single object exists in one environment only.
        """
        if request.method != "POST":
            return self._environments(request)
        wanted = uuid_parse(request.POST.get("environment", ""))
        environment = Environment.objects.filter(id=wanted).first() if wanted else None
        if environment is None:
            raise Http404
        request.session[IN_VIEW] = str(environment.id)
        return HttpResponseRedirect(reverse("admin:index"))

    def _environments(self, request: HttpRequest) -> HttpResponse:
        everyone = Environment.objects.select_related("tenant").order_by("tenant__name", "-kind")
        context = {"environments": everyone, "chosen_environment": getattr(request, "environment", None)}
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "admin/purser/environment_list.html", context)
        page = {**self.each_context(request), **context, "title": "Environments"}
        return TemplateResponse(request, "admin/purser/environment_page.html", page)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The palette. Unlike the theme's own never from a cache: an answer belongs to one environment and moment."""
        began = elapsed_seconds()
        term = request.GET.get("s", "").strip()
        if not term:
            return HttpResponse()
        results = _OnePage(
            self._get_value(self._get_config("COMMAND", request)["search_callback"], request, term)
        )
        context = {
            "search_term": term,
            "page_obj": results,
            "results": results,
            "page_counter": 0,
            "execution_time": elapsed_seconds() - began,
            **(extra_context or {}),
        }
        return TemplateResponse(
            request, "unfold/helpers/command_results.html", context, headers={"HX-Trigger": "search"}
        )


class _OnePage(list[Any]):
    """All results on one page, as the theme's template asks for them."""

    next_page_number = None

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self)
