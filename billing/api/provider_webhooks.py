"""`/v1/providers/stripe/webhook`: Stripe calls it. There is no API key; the signature says who speaks."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from billing.services.provider_events import stripe_event_receive
from customers.api.problems import as_domain_error, problem_response
from customers.errors import MethodNotAllowed


@csrf_exempt
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """200 once it is dealt with, so that Stripe does not send it again; what is not about us is dealt with too."""
    try:
        outcome = _outcome(request)
    except Exception as error:
        return problem_response(as_domain_error(error, request), request)
    return JsonResponse({"received": True, "outcome": outcome})


def _outcome(request: HttpRequest) -> str:
    if request.method != "POST":
        raise MethodNotAllowed(extra={"allow": ["POST"]})
    return stripe_event_receive(payload=request.body, signature=request.headers.get("Stripe-Signature", ""))
