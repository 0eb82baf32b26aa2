"""An invoice as a PDF, made offline: letterhead, lines, totals, and an appendix that shows how usage was reckoned.

The same invoice makes the same bytes. Bitstream Vera, which reportlab brings along, has the letters of Western Europe;
`INVOICE_FONT` names other fonts for the rest of the world. A letter that the font lacks loses its accent, or is a
question mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from typing import Any, Final
from xml.sax.saxutils import escape

from django.conf import settings
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from billing.engine.arithmetic import Part, share_text
from billing.engine.money import money_number, money_text
from billing.models import Invoice, InvoiceLine, InvoiceStatus
from customers.kernel.amounts import units_shown

_INK: Final = HexColor("#16202e")
_SOFT: Final = HexColor("#5b6675")
_RULE: Final = HexColor("#d5dae1")
_SHADE: Final = HexColor("#f3f5f8")
_ACCENT: Final = HexColor("#1f5eff")
_MARGIN: Final = 20 * mm
_WIDTH: Final = A4[0] - 2 * _MARGIN
_STAMPS: Final[Mapping[str, str]] = {
    InvoiceStatus.DRAFT: "DRAFT",
    InvoiceStatus.PAID: "PAID",
    InvoiceStatus.VOID: "VOID",
}


@dataclass(frozen=True, slots=True)
class _Fonts:
    regular: str
    bold: str
    known: frozenset[int]

    def text(self, value: object) -> str:
        """For a paragraph: only letters the font has, nothing that reads as markup, line breaks kept."""
        plain = "".join(self._letter(letter) for letter in str(value))
        return escape(plain).replace("\n", "<br/>")

    def _letter(self, letter: str) -> str:
        if letter == "\n" or ord(letter) in self.known:
            return letter
        base = unicodedata.normalize("NFKD", letter)[0]
        return base if ord(base) in self.known else "?"

    def style(
        self, size: float = 9, *, is_bold: bool = False, is_right: bool = False, color: Any = _INK
    ) -> Any:
        return ParagraphStyle(
            "text",
            fontName=self.bold if is_bold else self.regular,
            fontSize=size,
            leading=size * 1.4,
            textColor=color,
            **({"alignment": TA_RIGHT} if is_right else {}),
        )

    def paragraph(self, value: object, size: float = 9, **look: Any) -> Paragraph:
        return Paragraph(self.text(value), self.style(size, **look))


def pages_draw(invoice: Invoice) -> bytes:
    """The PDF of an invoice, with its lines loaded or not."""
    fonts = _fonts(*_font_files())
    lines = list(invoice.lines.all())
    target = BytesIO()
    document = BaseDocTemplate(
        target,
        pagesize=A4,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        title=fonts.text(f"Invoice {invoice.number or ''}".strip()),
        author=fonts.text(invoice.bill_from.get("name") or ""),
        invariant=1,
    )
    frame = Frame(_MARGIN, 24 * mm, _WIDTH, A4[1] - 44 * mm, 0, 0, 0, 0)
    foot = _Foot(invoice, fonts)
    document.addPageTemplates([PageTemplate(frames=[frame], onPage=foot.draw)])
    document.build(list(_story(invoice, lines, fonts)))
    return target.getvalue()


@dataclass(frozen=True, slots=True)
class _Foot:
    """What stands at the bottom of every page."""

    invoice: Invoice
    fonts: _Fonts

    def draw(self, canvas: Canvas, document: Any) -> None:
        canvas.saveState()
        canvas.setStrokeColor(_RULE)
        canvas.line(_MARGIN, 18 * mm, _MARGIN + _WIDTH, 18 * mm)
        text = self.fonts.paragraph(self.invoice.bill_from.get("footer") or "", 7, color=_SOFT)
        _, height = text.wrap(_WIDTH - 40 * mm, 12 * mm)
        text.drawOn(canvas, _MARGIN, 16 * mm - height)
        canvas.setFont(self.fonts.regular, 7)
        canvas.setFillColor(_SOFT)
        named = self.invoice.number or self.invoice.public_id
        canvas.drawRightString(_MARGIN + _WIDTH, 13 * mm, f"{named} · {document.page}")
        canvas.restoreState()


def _story(invoice: Invoice, lines: Sequence[InvoiceLine], fonts: _Fonts) -> Iterator[Flowable]:
    yield _head(invoice, fonts)
    yield Spacer(1, 9 * mm)
    yield _parties(invoice, fonts)
    yield Spacer(1, 9 * mm)
    yield _lines_table(invoice, lines, fonts)
    yield Spacer(1, 5 * mm)
    yield _totals_table(invoice, fonts)
    if invoice.memo:
        yield Spacer(1, 7 * mm)
        yield fonts.paragraph(invoice.memo, 8.5, color=_SOFT)
    yield from _appendix(invoice, lines, fonts)


def _head(invoice: Invoice, fonts: _Fonts) -> Flowable:
    seller = invoice.bill_from.get("name") or ""
    stamp = _STAMPS.get(invoice.status)
    title = [fonts.paragraph("Invoice", 20, is_bold=True, is_right=True)]
    if stamp:
        title.append(fonts.paragraph(stamp, 10, is_bold=True, is_right=True, color=_ACCENT))
    about = [fonts.paragraph(seller, 14, is_bold=True), *_address(invoice.bill_from, fonts)]
    return _columns([about, title], [_WIDTH * 0.6, _WIDTH * 0.4])


def _parties(invoice: Invoice, fonts: _Fonts) -> Flowable:
    buyer = [
        fonts.paragraph("Billed to", 7.5, color=_SOFT),
        fonts.paragraph(invoice.bill_to.get("name") or "", 10, is_bold=True),
        *_address(invoice.bill_to, fonts),
    ]
    facts = [
        [fonts.paragraph(label, 8, color=_SOFT), fonts.paragraph(value, 8, is_right=True)]
        for label, value in _facts(invoice)
    ]
    table = Table(facts, colWidths=[_WIDTH * 0.16, _WIDTH * 0.26])
    table.setStyle(TableStyle([*_TIGHT, ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE)]))
    return _columns([buyer, table], [_WIDTH * 0.58, _WIDTH * 0.42])


def _facts(invoice: Invoice) -> Iterator[tuple[str, str]]:
    yield "Number", invoice.number or "not issued"
    if invoice.issued_at:
        yield "Date", f"{invoice.issued_at:%Y-%m-%d}"
    if invoice.due_at and invoice.amount_due_minor:
        yield "Due", f"{invoice.due_at:%Y-%m-%d}"
    last = invoice.period_end - timedelta(microseconds=1)
    yield "Period", f"{invoice.period_start:%Y-%m-%d} to {max(last, invoice.period_start):%Y-%m-%d}"


def _address(party: Mapping[str, Any], fonts: _Fonts) -> list[Paragraph]:
    parts = [party.get("address"), party.get("email"), _tax_id(party)]
    return [fonts.paragraph(part, 8.5, color=_SOFT) for part in parts if part]


def _tax_id(party: Mapping[str, Any]) -> str:
    return f"Tax id {party['tax_id']}" if party.get("tax_id") else ""


def _lines_table(invoice: Invoice, lines: Sequence[InvoiceLine], fonts: _Fonts) -> Flowable:
    head = [
        fonts.paragraph("Description", 8, is_bold=True),
        fonts.paragraph("Quantity", 8, is_bold=True, is_right=True),
        fonts.paragraph(f"Amount ({invoice.currency.upper()})", 8, is_bold=True, is_right=True),
    ]
    rows = [[_described(line, fonts), *_figures(invoice, line, fonts)] for line in lines]
    table = Table([head, *rows], colWidths=[_WIDTH * 0.6, _WIDTH * 0.19, _WIDTH * 0.21], repeatRows=1)
    table.setStyle(
        TableStyle(
            [
                ("BACKGROUND", (0, 0), (-1, 0), _SHADE),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
            ]
        )
    )
    return table


def _described(line: InvoiceLine, fonts: _Fonts) -> list[Paragraph]:
    last = line.period_end - timedelta(microseconds=1)
    second = f"{line.period_start:%Y-%m-%d} to {max(last, line.period_start):%Y-%m-%d}"
    if line.is_adjustment:
        second += " · adjustment"
    if share_text(line.details):
        second += f" · {share_text(line.details)}"
    return [fonts.paragraph(line.description), fonts.paragraph(second, 7.5, color=_SOFT)]


def _figures(invoice: Invoice, line: InvoiceLine, fonts: _Fonts) -> list[list[Paragraph]]:
    amount = [fonts.paragraph(money_number(line.amount_minor, invoice.currency), is_right=True)]
    if line.rated_before_minor:
        before = money_number(line.rated_before_minor, invoice.currency)
        whole = money_number(line.rated_minor, invoice.currency)
        amount.append(fonts.paragraph(f"{whole} less {before} billed", 7, is_right=True, color=_SOFT))
    return [[fonts.paragraph(_quantity(line.quantity), is_right=True)], amount]


def _quantity(value: Decimal) -> str:
    shown = units_shown(value)
    return f"{shown:,}" if isinstance(shown, int) else f"{Decimal(shown):,f}"


def _totals_table(invoice: Invoice, fonts: _Fonts) -> Flowable:
    rows = [
        [fonts.paragraph(label, 9), fonts.paragraph(money_number(minor, invoice.currency), 9, is_right=True)]
        for label, minor in _sums(invoice)
    ]
    due = money_text(invoice.amount_due_minor, invoice.currency)
    rows.append(
        [
            fonts.paragraph("Amount due", 11, is_bold=True),
            fonts.paragraph(due, 11, is_bold=True, is_right=True),
        ]
    )
    table = Table(rows, colWidths=[_WIDTH * 0.24, _WIDTH * 0.26], hAlign="RIGHT")
    table.setStyle(
        TableStyle([("LINEABOVE", (0, -1), (-1, -1), 1, _INK), ("BACKGROUND", (0, -1), (-1, -1), _SHADE)])
    )
    return table


def _sums(invoice: Invoice) -> Iterator[tuple[str, int]]:
    yield "Subtotal", invoice.subtotal_minor
    if invoice.tax_rate:
        yield f"Tax ({units_shown(invoice.tax_rate)} %)", invoice.tax_minor
    if invoice.credits_applied_minor > 0:
        yield "Credit", -invoice.credits_applied_minor
    elif invoice.credits_applied_minor < 0:
        yield "Kept as credit", -invoice.credits_applied_minor
    yield "Total", invoice.total_minor
    if invoice.credited_minor:
        yield "Credit notes", -invoice.credited_minor
    if invoice.paid_minor:
        yield "Paid", -invoice.paid_minor


def _appendix(invoice: Invoice, lines: Sequence[InvoiceLine], fonts: _Fonts) -> Iterator[Flowable]:
    """How each line of usage was reckoned; the exact amounts add up to what is rounded once."""
    reckoned = [line for line in lines if line.reckoned]
    if not reckoned:
        return
    yield Spacer(1, 12 * mm)
    yield fonts.paragraph("How usage was reckoned", 12, is_bold=True)
    for line in reckoned:
        yield Spacer(1, 4 * mm)
        yield CondPageBreak(30 * mm)
        yield fonts.paragraph(f"{line.position}. {line.description}", 8.5, is_bold=True)
        yield Spacer(1, 1.5 * mm)
        yield _breakdown(invoice, line, fonts)


def _breakdown(invoice: Invoice, line: InvoiceLine, fonts: _Fonts) -> Flowable:
    head = [
        fonts.paragraph(title, 7.5, is_right=index > 0, color=_SOFT)
        for index, title in enumerate(
            ("", "Units", "Unit price", f"Exact amount ({invoice.currency.upper()})")
        )
    ]
    rows = [_reckoned(part, fonts) for part in line.reckoned]
    rounded = money_number(line.rated_minor, invoice.currency)
    last = [
        fonts.paragraph("Rounded once", 7.5, is_bold=True),
        "",
        "",
        fonts.paragraph(rounded, 7.5, is_bold=True, is_right=True),
    ]
    widths = [_WIDTH * share for share in (0.4, 0.2, 0.18, 0.22)]
    table = Table([head, *rows, last], colWidths=widths, repeatRows=1)
    table.setStyle(TableStyle([*_TIGHT, ("LINEBELOW", (0, 0), (-1, -1), 0.4, _RULE)]))
    return table


def _reckoned(part: Part, fonts: _Fonts) -> list[Paragraph]:
    figures = (part.quantity, part.unit_price, part.amount)
    return [
        fonts.paragraph(part.name, 7.5),
        *(fonts.paragraph(figure, 7.5, is_right=True) for figure in figures),
    ]


_TIGHT: Final = (
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 2.5),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
)


def _columns(cells: Sequence[Any], widths: Sequence[float]) -> Table:
    table = Table([list(cells)], colWidths=list(widths))
    table.setStyle(TableStyle(list(_TIGHT)))
    return table


def _font_files() -> tuple[str, str]:
    """The regular and the bold one."""
    named = [path.strip() for path in settings.INVOICE_FONT.split(",") if path.strip()]
    regular = named[0] if named else "Vera.ttf"
    bold = named[1] if len(named) > 1 else regular if named else "VeraBd.ttf"
    return regular, bold


@lru_cache(maxsize=4)
def _fonts(regular: str, bold: str) -> _Fonts:
    names = {"regular": f"Purser-{abs(hash(regular))}", "bold": f"Purser-{abs(hash(bold))}-bold"}
    faces = [TTFont(names["regular"], regular), TTFont(names["bold"], bold)]
    for face in faces:
        pdfmetrics.registerFont(face)
    known = frozenset.intersection(*(frozenset(face.face.charToGlyph) for face in faces))
    return _Fonts(**names, known=known)
