"""The admin's looks and its menu."""

from __future__ import annotations

from typing import Any

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Purser",
    "SITE_HEADER": "Purser",
    "SITE_SUBHEADER": "Credits and billing",
    "SITE_URL": "/docs",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
}
