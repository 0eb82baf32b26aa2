"""Imports: a file comes in, is tried, brought in for good, and can be taken back.

    uploaded → checked → imported → reversed

Each step is a job of its own (customers.services.import_jobs), which can be paused, resumed and canceled like any
other; what was canceled or has failed is started again and goes on behind what is done.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from customers.errors import FieldError, ImportNotFound, ImportNotReady, ValidationFailed
from customers.kernel.caller import Caller
from customers.models import ImportBatch, ImportRow, ImportStage, Job, RowOutcome
from customers.services.audit import audit_record
from customers.services.checks import text_refusal
from customers.services.import_files import ImportFile, file_read
from customers.services.import_jobs import (
    amount_require,
    check_name,
    import_job_kinds,
    reverse_name,
    run_name,
)
from customers.services.import_kinds import (
    ImportKind,
    import_kind,
    kind_add,
    mapping_guess,
    mapping_refusals,
)
from customers.services.jobs import Clock, job_do, job_start

#: Up to here an import is checked, brought in and reversed within the call.
AT_ONCE_MAX: Final = 50
_ROWS_OF_AN_INSERT: Final = 2000
_REASON_MAX: Final = 1000
_STARTABLE: Final = {ImportStage.CHECK: ("checked",), ImportStage.RUN: ("interrupted",)}
_BUSY: Final = ("checking", "paused")
_REVERSIBLE: Final = {
    ImportStage.RUN: ("imported", "interrupted"),
    ImportStage.REVERSE: ("reversed", "interrupted"),
}


def import_kind_register(kind: ImportKind) -> None:
    """Have rows of this kind imported. Apps call it when they are ready."""
    kind_add(kind)
    import_job_kinds(kind)


@transaction.atomic
def import_upload(*, caller: Caller, kind: str, name: str, content: bytes, now: datetime) -> ImportBatch:
    """Keep a file's rows, with a guess which column is which field. Nothing else happens yet.

    Raises ValidationFailed, ImportUnreadable, ImportTooLarge.
    """
    known = _kind(kind)
    file = file_read(name=name, content=content)
    batch = ImportBatch.objects.create(
        environment_id=caller.environment_id,
        kind=known.name,
        file_name=file.name,
        file_sha256=file.sha256,
        size_bytes=file.size_bytes,
        delimiter=file.delimiter,
        columns=file.columns,
        mapping=mapping_guess(known, file.columns),
        row_count=len(file.rows),
        actor=caller.actor,
        created_at=now,
    )
    _keep_rows(batch, file)
    _record(caller, batch, "uploaded", {"rows": [None, batch.row_count]}, "", now)
    return batch


def import_check(
    *,
    caller: Caller,
    import_id: UUID,
    mapping: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    now: datetime,
    clock: Clock,
) -> ImportBatch:
    """Try the rows out by this mapping (None: as it is), as a job that leaves nothing but what it found.

    `constants` are texts for rows without one. `clock` is the wall clock. Raises ImportNotFound, ImportNotReady,
    ValidationFailed.
    """
    with transaction.atomic():
        batch = _locked(caller, import_id)
        if batch.stage not in (ImportStage.UPLOADED, ImportStage.CHECK) or batch.state in _BUSY:
            raise _not_ready(batch, "It is being checked, or was started.")
        batch.mapping = dict(batch.mapping if mapping is None else mapping)
        batch.constants = dict(batch.constants if constants is None else constants)
        errors = mapping_refusals(_kind(batch.kind), batch.columns, batch.mapping, batch.constants)
        if errors:
            raise ValidationFailed(errors=errors)
        batch.expected_counts = {}
        asked = {"mapping": batch.mapping, "constants": batch.constants}
        _record(caller, batch, "checked", {name: [None, value] for name, value in asked.items()}, "", now)
        _begin(caller, batch, ImportStage.CHECK, check_name(batch.kind), {}, clock)
    return import_get(environment_id=caller.environment_id, import_id=batch.id)


def import_start(
    *, caller: Caller, import_id: UUID, amount_max: int | None = None, now: datetime, clock: Clock
) -> ImportBatch:
    """Bring the rows in, each once for ever; also what is left of an import that was interrupted.

    `amount_max` bounds the credits, in mc, that it may move: by the dry run, and by what really comes, where it stops.
    Raises ImportNotFound, ImportNotReady, ImportAboveLimit.
    """
    with transaction.atomic():
        batch = _locked(caller, import_id)
        if batch.state not in _STARTABLE.get(ImportStage(batch.stage), ()):
            raise _not_ready(batch, "Only what was checked, or interrupted, can be started.")
        if batch.stage == ImportStage.CHECK and not _hopeful(batch):
            raise _not_ready(batch, "By the dry run every row would be refused.")
        amount_require(max(_amount(batch.expected_counts), _amount(batch.counts)), amount_max)
        _record(caller, batch, "started", {}, "", now)
        _begin(caller, batch, ImportStage.RUN, run_name(batch.kind), {"amount_max": amount_max}, clock)
    return import_get(environment_id=caller.environment_id, import_id=batch.id)


def import_reverse(
    *,
    caller: Caller,
    import_id: UUID,
    reason: str,
    amount_max: int | None = None,
    now: datetime,
    clock: Clock,
) -> ImportBatch:
    """Take back what the rows made, as far as nobody has used it since; again for those that stayed.

    `amount_max` bounds the credits, in mc, that it brought in. Raises ImportNotFound, ImportNotReady, ImportAboveLimit,
    ValidationFailed.
    """
    refusal = text_refusal(reason, _REASON_MAX)
    if refusal is not None:
        raise ValidationFailed(errors=[FieldError("reason", "invalid", refusal)])
    with transaction.atomic():
        batch = _locked(caller, import_id)
        if batch.state not in _REVERSIBLE.get(ImportStage(batch.stage), ()):
            raise _not_ready(batch, "Only what was imported can be reversed.")
        amount_require(_amount(batch.counts), amount_max)
        batch.reversal_reason = reason
        _record(caller, batch, "reversed", {}, reason, now)
        _begin(caller, batch, ImportStage.REVERSE, reverse_name(batch.kind), {"reason": reason}, clock)
    return import_get(environment_id=caller.environment_id, import_id=batch.id)


def import_get(*, environment_id: UUID, import_id: UUID) -> ImportBatch:
    """Raises ImportNotFound."""
    found = ImportBatch.objects.filter(environment_id=environment_id, id=import_id)
    batch = found.select_related("job").first()
    if batch is None:
        raise ImportNotFound
    return batch


def _begin(
    caller: Caller, batch: ImportBatch, stage: ImportStage, job: str, parameters: dict[str, Any], clock: Clock
) -> None:
    """The stage's job: in the queue, or, when there is little to do, done at once.

    The import is stored before the job can look at it, and knows its job before anybody can ask.
    """
    parameters = {"import": str(batch.id), **parameters}
    batch.stage = stage
    batch.save(update_fields=["stage", "mapping", "constants", "expected_counts", "reversal_reason"])
    if batch.row_count <= AT_ONCE_MAX:
        made = job_do(caller=caller, kind=job, parameters=parameters, clock=clock)
    else:
        made = job_start(caller=caller, kind=job, parameters=parameters, now=clock())
    ImportBatch.objects.filter(id=batch.id).update(job=made)


def _locked(caller: Caller, import_id: UUID) -> ImportBatch:
    rows = ImportBatch.objects.select_for_update(no_key=True, of=("self",)).select_related("job")
    batch = rows.filter(environment_id=caller.environment_id, id=import_id).first()
    if batch is None:
        raise ImportNotFound
    if batch.job_id is not None:
        # As it is now that the import is ours, not as it was before we waited.
        batch.job = Job.objects.get(id=batch.job_id)
    return batch


def _amount(counts: Mapping[str, int]) -> int:
    return counts.get("amount", 0)


def _hopeful(batch: ImportBatch) -> bool:
    return any(batch.expected_counts.get(each) for each in RowOutcome.values if each != RowOutcome.REFUSED)


def _not_ready(batch: ImportBatch, detail: str) -> ImportNotReady:
    return ImportNotReady(detail, extra={"state": batch.state})


def _kind(name: str) -> ImportKind:
    kind = import_kind(name)
    if kind is None:
        raise ValidationFailed(errors=[FieldError("kind", "unknown-kind", f"Nobody imports {name[:40]!r}.")])
    return kind


def _keep_rows(batch: ImportBatch, file: ImportFile) -> None:
    ImportRow.objects.bulk_create(
        (
            ImportRow(
                batch_id=batch.id,
                environment_id=batch.environment_id,
                position=position,
                line=row.line,
                cells=row.cells,
                fault=row.fault,
            )
            for position, row in enumerate(file.rows, start=1)
        ),
        batch_size=_ROWS_OF_AN_INSERT,
    )


def _record(
    caller: Caller, batch: ImportBatch, what: str, changes: Mapping[str, Any], reason: str, now: datetime
) -> None:
    audit_record(
        caller=caller,
        action=f"import.{what}",
        object_type="import",
        object_id=batch.public_id,
        reason=reason,
        changes=changes,
        now=now,
    )
