"""The processor time that a tree of processes has used, from /proc: steadier than any clock on a shared machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICK: Final = 1.0 / os.sysconf("SC_CLK_TCK")
_PARENT, _FIRST_TIME, _AFTER_TIMES = 1, 11, 15


def tree_seconds(*, root: int) -> float:
    """User and system seconds of a process and all below it, with those of children that have ended."""
    table = _processes()
    children: dict[int, list[int]] = {}
    for pid, fields in table.items():
        children.setdefault(int(fields[_PARENT]), []).append(pid)
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        waiting += children.get(pid, [])
        if pid in table:
            # utime, stime, and cutime, cstime: what ended children leave to who waited for them.
            total += sum(int(ticks) for ticks in table[pid][_FIRST_TIME:_AFTER_TIMES])
    return total * _TICK


def _processes() -> dict[int, list[str]]:
    table = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The command's name stands in parentheses and may hold anything; fields are counted after it.
            table[int(folder.name)] = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
    return table
