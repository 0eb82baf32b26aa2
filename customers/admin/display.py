"""How amounts, instants and ids are shown: the same way on every page."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.utils.html import format_html
from django.utils.safestring import SafeString

from customers.kernel.amounts import MC_PER_CREDIT
from customers.kernel.instants import instant_text

NOTHING: Final = format_html('<span class="p-faint" aria-label="{}">{}</span>', "none", "–")

#: The colours a badge can have, by what they say.
TONES: Final = ("neutral", "good", "warning", "bad", "info")


def credits_text(mc: int) -> str:
    """`1,234.5`: credits in plain text, without superfluous zeros."""
    whole, fraction = divmod(abs(mc), MC_PER_CREDIT)
    decimals = f".{fraction:03d}".rstrip("0").rstrip(".")
    return f"{'−' if mc < 0 else ''}{whole:,}{decimals}"


def credits_shown(mc: int | None, *, signed: bool = False) -> SafeString:
    """Credits in a column: decimals stand below decimals, and those that are zero stay in the background."""
    if mc is None:
        return NOTHING
    whole, fraction = divmod(abs(mc), MC_PER_CREDIT)
    sign = "−" if mc < 0 else "+" if signed and mc > 0 else ""
    return format_html(
        '<span class="p-amount{}" title="{} mc">{}{}<span class="{}">.{}</span></span>',
        " p-negative" if mc < 0 and not signed else "",
        f"{mc:,}".replace("-", "−"),
        sign,
        f"{whole:,}",
        "" if fraction else "p-faint",
        f"{fraction:03d}",
    )


def mc_text(mc: int) -> str:
    """`1,234,500 mc`."""
    return f"{mc:,} mc".replace("-", "−")


def units_text(units: Decimal) -> str:
    """A quantity with thousands separators and only the decimals it has."""
    text = f"{units:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def units_shown(units: Decimal) -> SafeString:
    """The same in a column, on the right."""
    return format_html('<span class="p-amount">{}</span>', units_text(units))


def instant_shown(instant: datetime | None) -> SafeString:
    """`2026-04-03 09:01:00` and a quiet UTC; the browser adds its own time as a hint."""
    if instant is None:
        return NOTHING
    return format_html(
        '<time class="p-instant" datetime="{}">{} <span class="p-faint">UTC</span></time>',
        instant_text(instant),
        instant.strftime("%Y-%m-%d %H:%M:%S"),
    )


def badge(text: object, tone: str = "neutral") -> SafeString:
    """A word in a coloured box."""
    return format_html('<span class="p-badge p-{}">{}</span>', tone, text)


def code(text: object | None) -> SafeString:
    """An id or key, in fixed-width letters."""
    return NOTHING if text in {None, ""} else format_html('<code class="p-code">{}</code>', text)


def copyable(text: str | None) -> SafeString:
    """An id with a button that copies it."""
    if not text:
        return NOTHING
    return format_html(
        '<span class="p-copyable"><code class="p-code">{}</code>'
        '<button type="button" class="p-copy" data-copy="{}" aria-label="Copy {}" title="Copy">'
        '<span class="material-symbols-outlined" aria-hidden="true">content_copy</span></button></span>',
        text,
        text,
        text,
    )


def link(url: str, text: object) -> SafeString:
    return format_html('<a class="p-link" href="{}">{}</a>', url, text)


def text_or_nothing(text: str | None) -> str | SafeString:
    return text or NOTHING


def json_shown(value: Any) -> SafeString:
    """Metadata, properties, payloads: indented, keys in order."""
    if not value:
        return NOTHING
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=str)
    return format_html('<pre class="p-json" tabindex="0">{}</pre>', text)
