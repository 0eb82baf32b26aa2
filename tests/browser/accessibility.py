"""What axe-core finds on a page as it stands: problems that keep somebody from using it."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

_RUN = """
() => axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations
  .filter((one) => ['serious', 'critical'].includes(one.impact))
  .map((one) => one.id + ': ' + one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')))
"""


@cache
def _axe() -> str:
    return files("axe_playwright_python").joinpath("axe.min.js").read_text()


def serious_issues(page: Any) -> list[str]:
    """One line for each rule that the page breaks, with the first elements that do."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(_axe())
    found: list[str] = page.evaluate(_RUN)
    return found
