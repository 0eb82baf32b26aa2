"""Bar charts of a run, plain SVG that reads on light and dark paper: `python -m benchmarks.charts result.json FOLDER`.

One for each case: operations a second of every alternative, longest bar first, and the processor time of one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

_WIDTH: Final = 720
_LEFT: Final = 170
_BAR: Final = 290
_ROW: Final = 30
_TOP: Final = 44
_BOTTOM: Final = 28
_LEGEND: Final = "Operations a second, and microseconds of processor time for one: server + PostgreSQL."
#: Whatever the page is: text in the middle between black and white, blue with contrast to both.
_STYLE: Final = (
    "text{font:13px system-ui,sans-serif;fill:#6b7280}"
    ".title{font-weight:600;font-size:14px}.name,.rate{fill:#374151}.bar{fill:#3b82f6}"
    "@media(prefers-color-scheme:dark){text{fill:#9ca3af}.name,.rate{fill:#d1d5db}}"
)


def main() -> None:
    results, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        if all("per_second" in figures for figures in result["alternatives"].values()):
            (folder / f"{name}.svg").write_text(chart(result))


def chart(result: Mapping[str, Any]) -> str:
    """An SVG picture of one case's result."""
    alternatives = sorted(result["alternatives"].items(), key=lambda each: -each[1]["per_second"])
    height = _TOP + _ROW * len(alternatives) + _BOTTOM
    title = escape(result["title"])
    most = alternatives[0][1]["per_second"] or 1.0
    rows = "\n".join(
        "\n".join(_row(_TOP + _ROW * index, name, figures, most))
        for index, (name, figures) in enumerate(alternatives)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{title}">
<style>{_STYLE}</style>
<text class="title" x="12" y="24">{title}</text>
{rows}
<text x="12" y="{height - 10}">{_LEGEND}</text>
</svg>
"""


def _row(top: int, name: str, figures: Mapping[str, float], most: float) -> Iterator[str]:
    width = max(2.0, figures["per_second"] / most * _BAR)
    middle = top + _ROW // 2 + 2
    yield f'<text class="name" x="{_LEFT - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>'
    yield f'<rect class="bar" x="{_LEFT}" y="{top + 4}" width="{width:.0f}" height="{_ROW - 12}" rx="2"/>'
    yield f'<text class="rate" x="{_LEFT + width + 8:.0f}" y="{middle}">{figures["per_second"]:,.0f}</text>'
    spent = " + ".join(f"{figures[each]:,.0f}" for each in ("server_us", "postgres_us") if each in figures)
    yield f'<text x="{_WIDTH - 12}" y="{middle}" text-anchor="end">{spent and spent + " µs"}</text>'


if __name__ == "__main__":
    main()
