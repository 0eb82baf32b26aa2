"""Figures and ratios as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.cases import Case, Figures

_COLUMNS = {
    "per_second": ("per second", 0),
    "server_us": ("server µs", 0),
    "postgres_us": ("postgres µs", 0),
    "p50_ms": ("p50 ms", 3),
    "p95_ms": ("p95 ms", 2),
    "p99_ms": ("p99 ms", 2),
    "peak_mib": ("peak MiB", 0),
}


def result(*, case: Case, figures: Figures) -> dict[str, Any]:
    """Everything that is known of one case, ready for JSON."""
    aims = []
    for aim in case.aims:
        ratio = aim.of(figures)
        bounds = {"at_least": aim.at_least, "at_most": aim.at_most}
        aims.append({"name": aim.name, "ratio": round(ratio, 3), **bounds, "met": aim.is_met(ratio)})
    return {"title": case.title, "alternatives": figures, "aims": aims}


def text(*, name: str, found: Mapping[str, Any]) -> str:
    lines = [f"\n{name}: {found['title']}", _row("", [heading for heading, _ in _COLUMNS.values()])]
    for alternative, figures in found["alternatives"].items():
        cells = [
            f"{figures[key]:,.{digits}f}" if key in figures else "-" for key, (_, digits) in _COLUMNS.items()
        ]
        lines.append(_row(alternative, cells))
    return "\n".join([*lines, *(_aim(aim) for aim in found["aims"])])


def _row(name: str, cells: list[str]) -> str:
    return f"  {name:<24}" + "".join(f"{cell:>13}" for cell in cells)


def _aim(aim: Mapping[str, Any]) -> str:
    sign, bound = ("≥", aim["at_least"]) if aim["at_least"] is not None else ("≤", aim["at_most"])
    if bound is None:
        return f"    {aim['name']}: {aim['ratio']:.2f}"
    return f"    {aim['name']}: {aim['ratio']:.2f} (aim {sign} {bound:g}{'' if aim['met'] else ', MISSED'})"
