"""/problems/<code>: what a problem document's `type` leads to, from the docstrings of the refusals."""

from __future__ import annotations

import re
from html import escape
from typing import Final

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from customers.errors import DomainError

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title} · Purser</title>
<style>
:root {{ color-scheme: light dark; --ink: #1d2433; --soft: #5d6778; --line: #e3e7ee; --paper: #fff; --mark: #6d28d9; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e8ebf1; --soft: #9aa5b8; --line: #2a3242; --paper: #131823; --mark: #b794f6; }}
}}
body {{ margin: 0 auto; max-width: 42rem; padding: 4rem 1.25rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, sans-serif; }}
a {{ color: var(--mark); text-decoration: none; }} a:hover {{ text-decoration: underline; }}
nav, .status {{ color: var(--soft); font-size: .9375rem; }}
h1 {{ line-height: 1.2; margin: .75rem 0; }}
code {{ font: .9em ui-monospace, monospace; background: var(--line); border-radius: .3rem; padding: .1em .35em; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-top: 1px solid var(--line); padding: .5rem .75rem .5rem 0; vertical-align: top; }}
td.status {{ width: 2.5rem; }}
</style>
</head>
<body>
<nav><a href="/docs">Purser API</a> · <a href="/problems">Problems</a></nav>
{body}
</body>
</html>
"""


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
    return HttpResponse(_PAGE.format(title=escape(refusal.title), body=body))


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
    return HttpResponse(_PAGE.format(title="Problems", body=f"{text}<table>{rows}</table>"))


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
