"""The frame of the documentation's plain pages: one file, nothing from elsewhere, light and dark."""

from __future__ import annotations

from html import escape
from typing import Final

from django.http import HttpResponse

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
pre {{ font: .8125rem/1.5 ui-monospace, monospace; background: var(--line); border-radius: .4rem; padding: .75rem 1rem;
  overflow-x: auto; }}
pre code {{ background: none; padding: 0; font: inherit; }}
h2 {{ margin-top: 2.5rem; font-size: 1.125rem; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-top: 1px solid var(--line); padding: .5rem .75rem .5rem 0; vertical-align: top; }}
td.status {{ width: 2.5rem; }}
</style>
</head>
<body>
<nav><a href="/docs">Purser API</a> · <a href="/problems">Problems</a> · <a href="/docs/webhooks">Webhooks</a></nav>
{body}
</body>
</html>
"""


def page_response(*, title: str, body: str) -> HttpResponse:
    """A page; `body` is HTML."""
    return HttpResponse(_PAGE.format(title=escape(title), body=body))
