"""`python -m benchmarks [names] [--rounds N] [--seconds S] [--connections N] [--json FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES, Case, Options
from benchmarks.instance import Instance, instance
from benchmarks.report import result, text
from benchmarks.rounds import interleaved, middle


def main() -> None:
    arguments = _arguments()
    options = Options(
        seconds=arguments.seconds, connections=arguments.connections, calls=int(arguments.seconds * 400)
    )
    results: dict[str, Any] = {}
    _say("starting PostgreSQL, Valkey and three web servers, filling 10,000 accounts")
    with instance() as running:
        for name in arguments.names or CASES:
            results[name] = _measure(CASES[name], running, options, arguments.rounds)
            _say("")
            print(text(name=name, found=results[name]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")


def _measure(case: Case, running: Instance, options: Options, rounds: int) -> dict[str, Any]:
    with case.open(running, options) as alternatives:
        # Not counted: the first turn meets cold caches, unprepared statements and connections not made yet.
        interleaved(alternatives, rounds=1, say=_say)
        samples = interleaved(alternatives, rounds=rounds, say=_say)
    return result(case=case, figures={name: middle(found) for name, found in samples.items()})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Method and results: docs/performance.md"
    )
    parser.add_argument("names", nargs="*", choices=[*CASES, []], metavar="name", help=", ".join(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn")
    parser.add_argument("--connections", type=int, default=16, help="of the load generator and of pgbench")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    return parser.parse_args()


def _say(text: str) -> None:
    """Progress, on one line of a terminal, nowhere else."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


if __name__ == "__main__":
    main()
