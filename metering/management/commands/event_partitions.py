"""`manage.py event_partitions`: the months that usage events lie in, made ahead and archived (docs/ingestion.md)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import sleep
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.template.defaultfilters import filesizeformat

from customers.kernel.clock import system_now
from metering.selectors.event_partitions import EventPartition, event_partitions
from metering.services.event_partitions import (
    MONTHS_AHEAD,
    PartitionKept,
    PartitionsBusy,
    partition_detach,
    partitions_make,
)

_TURNS: Final = 10
_PAUSE_SECONDS: Final = 3.0


class Command(BaseCommand):
    help = "List the partitions of usage events; make some ahead, or archive old ones."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--ahead",
            type=int,
            metavar="MONTHS",
            help=f"make this month's and the next ones' (the scheduler keeps {MONTHS_AHEAD}), whatever has to be moved",
        )
        parser.add_argument("--detach", metavar="YYYY-MM", help="archive this month")
        parser.add_argument("--before", metavar="YYYY-MM", help="archive all months before this one")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["ahead"] is not None:
            self._patiently(partial(self._make, options["ahead"]))
        for month in _months(options["detach"], options["before"]):
            self._patiently(partial(self._detach, month))
        for partition in event_partitions():
            self.stdout.write(_line(partition))

    def _make(self, months: int) -> None:
        for made in partitions_make(now=system_now(), months=months, moved_max=2**62):
            if made.status == "made":
                self.stdout.write(f"Made {made.name}; {made.moved:,} events were moved there.")

    def _detach(self, month: datetime) -> None:
        try:
            table, events = partition_detach(month=month, now=system_now())
        except PartitionKept as refusal:
            raise CommandError(f"{month:%Y-%m} stays. {refusal}") from refusal
        self.stdout.write(
            f"{month:%Y-%m}: {events:,} events are now in {table}. Save it elsewhere, then drop it."
        )

    def _patiently(self, deed: Callable[[], None]) -> None:
        for _ in range(_TURNS):
            try:
                return deed()
            except PartitionsBusy:
                self.stderr.write("Somebody is reading or writing; trying again.")
                sleep(_PAUSE_SECONDS)
        raise CommandError(
            "The locks were not to be had. Nothing more was changed; try again when less goes on."
        )


def _months(detach: str | None, before: str | None) -> list[datetime]:
    named = [_month(detach)] if detach else []
    if before is None:
        return named
    end = _month(before)
    begins = [each.begins_at for each in event_partitions() if each.begins_at is not None]
    return named + [begin for begin in begins if begin < end and begin not in named]


def _month(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError as error:
        raise CommandError(f"{text} is no month: YYYY-MM.") from error


def _line(partition: EventPartition) -> str:
    size = filesizeformat(partition.bytes).replace("\xa0", " ")
    months = f"{partition.begins_at:%Y-%m}" if partition.begins_at else "else"
    return f"{months:8} {partition.name:32} about {partition.events:>14,} events {size:>12}"
