"""Which environment an operator looks at, and that nothing of it stays on the connection."""

from __future__ import annotations

from django.contrib.auth.models import AnonymousUser
from django.http import HttpResponse
from django.test import RequestFactory

from config.middleware import AdminEnvironmentMiddleware, EdgeMiddleware
from customers.kernel.database import current_environment_id
from customers.models import Environment


def visit(path, user, session=None):
    """What a view under `path` sees of its request and of the database."""
    seen = {}

    def view(request):
        for name in ("environment", "caller", "now", "request_id"):
            seen[name] = getattr(request, name, None)
        seen["visible"] = current_environment_id()
        return HttpResponse()

    def signed_in(request):
        request.user, request.session = user, session or {}
        return AdminEnvironmentMiddleware(view)(request)

    EdgeMiddleware(signed_in)(RequestFactory().get(path))
    return seen


def test_the_chosen_environment_is_seen(acme, operator):
    seen = visit("/admin/customers/", operator, {"environment_id": str(acme.live.id)})

    assert seen["environment"] == acme.live.environment
    assert seen["visible"] == acme.live.id
    assert seen["caller"].environment_id == acme.live.id
    assert seen["caller"].actor == f"user:{operator.username}"
    assert seen["caller"].request_id == seen["request_id"]
    assert seen["now"] is not None


def test_without_a_choice_it_is_the_first_test(acme, operator):
    first = Environment.objects.filter(kind="test").order_by("tenant__created_at", "tenant_id").first()

    assert visit("/admin/", operator)["environment"] == first


def test_an_environment_that_is_gone_is_no_fault(acme, operator):
    seen = visit("/admin/", operator, {"environment_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42"})

    assert seen["environment"].kind == "test"


def test_who_is_not_signed_in_sees_nothing(acme):
    seen = visit("/admin/", AnonymousUser(), {"environment_id": str(acme.live.id)})

    assert (seen["environment"], seen["caller"], seen["visible"]) == (None, None, None)


def test_outside_the_admin_the_choice_means_nothing(acme, operator):
    assert visit("/docs", operator, {"environment_id": str(acme.live.id)})["visible"] is None


def test_nothing_stays_on_the_connection(acme, operator):
    visit("/admin/", operator, {"environment_id": str(acme.live.id)})

    assert current_environment_id() is None
