"""Alternatives measured in turns, so that what else the machine does meets all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One turn of one alternative. Processor time is microseconds for each operation; None = not measured."""

    per_second: float | None = None
    server_us: float | None = None
    postgres_us: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    #: The most memory that the process has had.
    peak_mib: float | None = None
    errors: int = 0
    examples: Sequence[str] = ()


Alternative = Callable[[], Sample]


def interleaved(
    alternatives: Mapping[str, Alternative], *, rounds: int, say: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Every alternative once a round, in the reverse order every other round."""
    samples: dict[str, list[Sample]] = {name: [] for name in alternatives}
    for number in range(rounds):
        names = list(alternatives)[:: -1 if number % 2 else 1]
        for name in names:
            say(f"round {number + 1}/{rounds}: {name}")
            sample = alternatives[name]()
            if sample.errors:
                raise RuntimeError(f"{name}: {sample.errors} wrong answers, such as {list(sample.examples)}")
            samples[name].append(sample)
    return samples


def middle(samples: Sequence[Sample]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    values = {
        field.name: [getattr(sample, field.name) for sample in samples]
        for field in fields(Sample)
        if field.name not in ("errors", "examples")
    }
    return {name: median(found) for name, found in values.items() if None not in found}
