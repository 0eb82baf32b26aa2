"""What went wrong in words for whoever typed the command."""

from __future__ import annotations


class LocalError(Exception):
    """Printed without a traceback."""
