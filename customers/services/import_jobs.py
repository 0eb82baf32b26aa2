"""The work of an import, page by page: try it, do it, take it back.

What a row does and what is kept of it are one transaction with the job's place in the file. So a worker that dies, or
learns too late that the job is not its own any more, has brought in nothing of its page, and the next one begins there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet

from customers.errors import DomainError, FieldError, ImportAboveLimit, ValidationFailed
from customers.kernel.amounts import credits_spelled
from customers.kernel.caller import Caller
from customers.models import Environment, ImportBatch, ImportRow, Job, RowOutcome, RowReversal
from customers.services.environments import environment_now
from customers.services.import_kinds import (
    Effect,
    ImportKind,
    Reversed,
    RowWish,
    import_kind,
    row_texts,
    row_values,
)
from customers.services.jobs import JobWork, job_kind

T = TypeVar("T")
#: How often a page is tried again that met a deadlock.
_TURNS: Final = 5
_PAGE_BACK: Final = 20
_MESSAGE_MAX: Final = 500
_ROWS_KEEP: Final = """
UPDATE customers_import_row r SET {columns}
FROM jsonb_to_recordset(%s::jsonb) AS n(position integer, identity text, outcome text, errors jsonb, object_type text,
  object_id uuid, object_label text, details jsonb)
WHERE r.batch_id = %s AND r.position = n.position
"""
_EXPECTED_KEEP: Final = _ROWS_KEEP.format(
    columns="expected = n.outcome, identity = n.identity, errors = n.errors, details = n.details, "
    "object_type = n.object_type, object_id = NULL, object_label = n.object_label"
)
_OUTCOME_KEEP: Final = _ROWS_KEEP.format(
    columns="outcome = n.outcome, identity = n.identity, errors = n.errors, details = n.details, "
    "object_type = n.object_type, object_id = n.object_id, object_label = n.object_label"
)

#: A row's place, what tells it from the others, and what became of it.
Found = tuple[ImportRow, str, Effect | DomainError]


def import_job_kinds(kind: ImportKind) -> None:
    """The jobs of a kind of import are for keys that may do what it does."""
    job_kind(check_name(kind.name), resource=kind.resource)(import_check_run)
    job_kind(run_name(kind.name), resource=kind.resource)(import_run)
    job_kind(reverse_name(kind.name), resource=kind.resource)(import_reverse_run)


def check_name(kind: str) -> str:
    return f"{kind}.import_check"


def run_name(kind: str) -> str:
    return f"{kind}.import"


def reverse_name(kind: str) -> str:
    return f"{kind}.import_reverse"


def import_check_run(work: JobWork) -> dict[str, Any]:
    """What the rows would do: each page is brought in and rolled back; only what was found is kept."""
    batch, kind = _batch(work)
    counts = _counts(work)
    total: int | None = batch.row_count
    while page := _page(batch, work, kind.page):
        found = _without_deadlock(partial(_rehearsed, work, batch, kind, page))
        with transaction.atomic():
            counts = _kept(batch, kind, found, counts, _EXPECTED_KEEP)
            ImportBatch.objects.filter(id=batch.id).update(expected_counts=counts)
            _save(work, page, counts, total)
        total = None
    return {"rows": work.done, **counts}


def import_run(work: JobWork) -> dict[str, Any]:
    """Bring the rows in that were not brought in yet."""
    batch, kind = _batch(work)
    counts = dict(batch.counts)
    work.save(done=_done_before(counts), checkpoint={"counts": counts}, total=batch.row_count)
    while page := list(_rows(batch).filter(outcome="")[: kind.page]):
        counts = _without_deadlock(partial(_brought_and_kept, work, batch, kind, page, counts))
    return {"rows": work.done, **counts}


def _brought_and_kept(
    work: JobWork, batch: ImportBatch, kind: ImportKind, page: Sequence[ImportRow], counts: dict[str, int]
) -> dict[str, int]:
    with transaction.atomic():
        found = _brought(work, batch, kind, page)
        counts = _kept(batch, kind, found, counts, _OUTCOME_KEEP)
        amount_require(counts.get("amount", 0), work.parameters.get("amount_max"))
        ImportBatch.objects.filter(id=batch.id).update(counts=counts)
        _save(work, page, counts, None)
    return counts


def amount_require(amount_mc: int, amount_max: int | None) -> None:
    """Refuse what is above somebody's limit. Raises ImportAboveLimit."""
    if amount_max is not None and amount_mc > amount_max:
        moved, most = credits_spelled(amount_mc), credits_spelled(amount_max)
        raise ImportAboveLimit(f"It moves {moved} credits; you may move {most} alone.")


def import_reverse_run(work: JobWork) -> dict[str, Any]:
    """Take back what the rows did, the last row first. What is not taken back says why."""
    batch, kind = _batch(work)
    counts = _counts(work)
    done = (RowOutcome.MADE, RowOutcome.CHANGED)
    rows = _rows(batch).filter(outcome__in=done, reversal__in=("", RowReversal.KEPT)).order_by("-position")
    total: int | None = rows.count() if work.checkpoint is None else None
    while page := list(_before(rows, work)[:_PAGE_BACK]):
        counts = _without_deadlock(partial(_taken_back, work, kind, page, counts, total))
        total = None
    ImportBatch.objects.filter(id=batch.id).update(reversal_counts=_reversal_counts(batch))
    return {"rows": work.done, **counts}


def _taken_back(
    work: JobWork, kind: ImportKind, page: Sequence[ImportRow], counts: dict[str, int], total: int | None
) -> dict[str, int]:
    caller, now = _caller(work), _now(work)
    found: Counter[str] = Counter(counts)
    with transaction.atomic():
        for row in page:
            undone = _undone(kind, caller, row, work.parameters["reason"], now)
            found[undone.outcome] += 1
            rows = ImportRow.objects.filter(batch_id=row.batch_id, position=row.position)
            rows.update(reversal=undone.outcome, reversal_note=undone.note[:1000])
        _save(work, page, dict(found), total)
    return dict(found)


def _undone(kind: ImportKind, caller: Caller, row: ImportRow, reason: str, now: datetime) -> Reversed:
    if row.object_id is None:
        return Reversed(outcome=RowReversal.KEPT, note="The row made nothing of its own.")
    effect = Effect(
        outcome=RowOutcome(row.outcome),
        object_type=row.object_type,
        object_id=row.object_id,
        label=row.object_label,
        details=row.details,
    )
    try:
        with transaction.atomic():
            return kind.take_back(caller, effect, reason, now)
    except DomainError as refusal:
        return Reversed(outcome=RowReversal.KEPT, note=refusal.detail)


def _reversal_counts(batch: ImportBatch) -> dict[str, int]:
    found = _rows(batch).exclude(reversal="").order_by().values_list("reversal", flat=True)
    return dict(Counter(found.iterator()))


# --- Rows


def _brought(work: JobWork, batch: ImportBatch, kind: ImportKind, page: Sequence[ImportRow]) -> list[Found]:
    """What each row of the page did, or why it did nothing."""
    read = [_read(kind, batch, row) for row in page]
    identities = [_identity(kind, each) for each in read]
    wanted = _once_each(batch, page, read, identities)
    wishes = [each for each in wanted if isinstance(each, RowWish)]
    brought = iter(kind.bring(_caller(work), wishes, _now(work)) if wishes else ())
    outcomes = [each if isinstance(each, DomainError) else next(brought) for each in wanted]
    return list(zip(page, identities, outcomes, strict=True))


def _rehearsed(work: JobWork, batch: ImportBatch, kind: ImportKind, page: Sequence[ImportRow]) -> list[Found]:
    with transaction.atomic():
        found = _brought(work, batch, kind, page)
        transaction.set_rollback(True)
    return found


def _read(kind: ImportKind, batch: ImportBatch, row: ImportRow) -> RowWish | DomainError:
    if row.fault:
        return ValidationFailed(row.fault)
    texts = row_texts(batch.columns, row.cells, batch.mapping, batch.constants)
    try:
        values = row_values(kind, texts)
    except DomainError as refusal:
        return refusal
    return RowWish(position=row.position, key=f"{batch.public_id}:{row.position}", values=values)


def _identity(kind: ImportKind, read: RowWish | DomainError) -> str:
    named = None if isinstance(read, DomainError) else kind.identity(read.values)
    return "" if named is None else sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _once_each(
    batch: ImportBatch,
    page: Sequence[ImportRow],
    read: Sequence[RowWish | DomainError],
    identities: Sequence[str],
) -> list[RowWish | DomainError]:
    """The rows without those that an earlier row of the file says already."""
    earlier = _rows(batch).filter(
        identity__in=[each for each in identities if each], position__lt=page[0].position
    )
    known: dict[str, int] = {}
    for identity, position in earlier.order_by("position").values_list("identity", "position"):
        known.setdefault(identity, position)
    wanted: list[RowWish | DomainError] = []
    for row, each, identity in zip(page, read, identities, strict=True):
        first = known.setdefault(identity, row.position) if identity else row.position
        wanted.append(each if first == row.position else _repeated(first))
    return wanted


def _repeated(first: int) -> DomainError:
    error = FieldError("", "repeated", f"Row {first} of this file is about the same.")
    return ValidationFailed(error.message, errors=[error])


def _kept(
    batch: ImportBatch, kind: ImportKind, found: Sequence[Found], counts: Mapping[str, int], statement: str
) -> dict[str, int]:
    """Write what became of the rows; the counts with them."""
    rows = [_row(row, identity, outcome) for row, identity, outcome in found]
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(rows), batch.id])
    added = Counter(counts)
    for row in rows:
        added[row["outcome"]] += 1
        if kind.amount is not None:
            added["amount"] += row["details"].get(kind.amount[0], 0)
    return dict(added)


def _row(row: ImportRow, identity: str, outcome: Effect | DomainError) -> dict[str, Any]:
    if isinstance(outcome, DomainError):
        return {
            "position": row.position,
            "identity": identity,
            "outcome": RowOutcome.REFUSED,
            "errors": _errors(outcome),
            "object_type": "",
            "object_id": None,
            "object_label": "",
            "details": {},
        }
    return {
        "position": row.position,
        "identity": identity,
        "outcome": outcome.outcome,
        "errors": [],
        "object_type": outcome.object_type,
        "object_id": str(outcome.object_id),
        "object_label": outcome.label[:255],
        "details": outcome.details,
    }


def _errors(refusal: DomainError) -> list[dict[str, str]]:
    listed = refusal.errors or [FieldError("", refusal.code, refusal.detail)]
    return [
        {"field": error.field, "code": error.code, "message": error.message[:_MESSAGE_MAX]}
        for error in listed
    ]


# --- The job


def _batch(work: JobWork) -> tuple[ImportBatch, ImportKind]:
    batch = ImportBatch.objects.get(id=UUID(work.parameters["import"]))
    kind = import_kind(batch.kind)
    assert kind is not None  # noqa: S101 - it was there when the file came
    return batch, kind


def _rows(batch: ImportBatch) -> QuerySet[ImportRow]:
    return ImportRow.objects.filter(batch_id=batch.id).order_by("position")


def _page(batch: ImportBatch, work: JobWork, most: int) -> list[ImportRow]:
    after = (work.checkpoint or {}).get("at", 0)
    return list(_rows(batch).filter(position__gt=after)[:most])


def _before(rows: QuerySet[ImportRow], work: JobWork) -> QuerySet[ImportRow]:
    before = (work.checkpoint or {}).get("at")
    return rows if before is None else rows.filter(position__lt=before)


def _counts(work: JobWork) -> dict[str, int]:
    return dict((work.checkpoint or {}).get("counts", {}))


def _done_before(counts: Mapping[str, int]) -> int:
    return sum(counts.get(outcome, 0) for outcome in RowOutcome.values)


def _save(work: JobWork, page: Sequence[ImportRow], counts: Mapping[str, int], total: int | None) -> None:
    checkpoint = {"at": page[-1].position, "counts": dict(counts)}
    work.save(done=work.done + len(page), checkpoint=checkpoint, total=total)


def _caller(work: JobWork) -> Caller:
    job = Job.objects.only("actor", "request_id").get(id=work.job_id)
    return Caller(environment_id=work.environment_id, actor=job.actor, request_id=job.request_id)


def _now(work: JobWork) -> datetime:
    return environment_now(Environment.objects.get(id=work.environment_id))


def _without_deadlock(deed: Callable[[], T]) -> T:
    """A page locks many customers; who else does may do so in another order."""
    for _ in range(_TURNS - 1):
        try:
            return deed()
        except (OperationalError, psycopg.errors.DeadlockDetected) as error:
            if not isinstance(error.__cause__ or error, psycopg.errors.DeadlockDetected):
                raise
    return deed()
