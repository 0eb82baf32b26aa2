"""/problems/<code>: what a problem document's `type` leads to, from the docstrings of the refusals."""

from __future__ import annotations

import re
from html import escape

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from customers.api.pages import page_response
from customers.errors import DomainError


@require_safe
def problem_page(_request: HttpRequest, code: str) -> HttpResponse:
    """One problem."""
    refusal = refusals().get(code)
    if refusal is None:
        raise Http404
    body = (
        f'<p class="status">{refusal.status} · <code>{escape(code)}</code></p>'
        f"<h1>{escape(refusal.title)}</h1>{_paragraphs(refusal)}"
    )
    return page_response(title=refusal.title, body=body)


@require_safe
def problem_index(_request: HttpRequest) -> HttpResponse:
    """All of them."""
    rows = "".join(
        f'<tr><td class="status">{refusal.status}</td>'
        f'<td><a href="/problems/{escape(code)}"><code>{escape(code)}</code></a></td>'
        f"<td>{escape(refusal.title)}</td></tr>"
        for code, refusal in sorted(refusals().items(), key=lambda item: (item[1].status, item[0]))
    )
    text = (
        "<h1>Problems</h1><p>A refused call is answered with a problem document "
        "(<code>application/problem+json</code>, RFC 9457): <code>code</code> says which of these it is, "
        "<code>detail</code> and <code>errors</code> what it was this time. A refused call leaves nothing behind.</p>"
    )
    return page_response(title="Problems", body=f"{text}<table>{rows}</table>")


def refusals() -> dict[str, type[DomainError]]:
    """Every refusal of every app by its code; where several classes share one, the first that says it."""
    found: dict[str, type[DomainError]] = {}
    waiting = list(DomainError.__subclasses__())
    while waiting:
        refusal = waiting.pop(0)
        found.setdefault(refusal.code, refusal)
        waiting += refusal.__subclasses__()
    return found


def _paragraphs(refusal: type[DomainError]) -> str:
    paragraphs = re.split(r"\n\s*\n", (refusal.__doc__ or "").strip())
    text = "".join(f"<p>{escape(' '.join(paragraph.split()))}</p>" for paragraph in paragraphs)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
