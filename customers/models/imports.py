from __future__ import annotations

from django.db import models

from customers.kernel.ids import typeid, uuid7
from customers.models.environment import Environment
from customers.models.job import Job, JobState


class ImportStage(models.TextChoices):
    UPLOADED = "uploaded", "Uploaded"
    CHECK = "check", "Dry run"
    RUN = "run", "Import"
    REVERSE = "reverse", "Reversal"


class RowOutcome(models.TextChoices):
    """What a row did, or would do. A row that was not come to yet has none."""

    MADE = "made", "Made"
    CHANGED = "changed", "Changed"
    UNCHANGED = "unchanged", "Unchanged"
    REFUSED = "refused", "Refused"


class RowReversal(models.TextChoices):
    REVERSED = "reversed", "Reversed"
    PARTLY = "partly", "Partly reversed"
    KEPT = "kept", "Not reversed"


#: What an import is, by its stage, while that stage's job is open, and once it is done.
_STATES = {
    ImportStage.CHECK: ("checking", "checked"),
    ImportStage.RUN: ("importing", "imported"),
    ImportStage.REVERSE: ("reversing", "reversed"),
}
_OPEN = (JobState.QUEUED, JobState.RUNNING)


class ImportBatch(models.Model):
    """One file of rows that somebody brought in: first on trial, then for good, perhaps back out again.

    `job` is the one of the present stage; how far that is, and whether it was stopped, is for the job to say.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=40)
    file_name = models.CharField(max_length=255)
    file_sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    delimiter = models.CharField(max_length=1)
    # The names in the file's first line, each once.
    columns = models.JSONField()
    # Field → column, and field → the text for rows without one.
    mapping = models.JSONField(default=dict)
    constants = models.JSONField(default=dict)
    row_count = models.BigIntegerField()
    stage = models.CharField(max_length=8, choices=ImportStage.choices, default=ImportStage.UPLOADED)
    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    # Rows by outcome, and the amounts of those that were not refused; written with the rows.
    expected_counts = models.JSONField(default=dict)
    counts = models.JSONField(default=dict)
    reversal_counts = models.JSONField(default=dict)
    reversal_reason = models.CharField(max_length=1000, blank=True, default="")
    actor = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "customers_import"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(stage__in=ImportStage.values), name="import_stage_is_known"
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="imports_newest_first"),
            models.Index(fields=("environment", "file_sha256"), name="imports_of_a_file"),
        )

    def __str__(self) -> str:
        return f"{self.file_name} ({self.public_id})"

    @property
    def public_id(self) -> str:
        return typeid("imp", self.id)

    @property
    def state(self) -> str:
        """`uploaded`, then by stage `checking` → `checked` and so on; or `paused`, or `interrupted`."""
        if self.job is None:
            return "uploaded"
        doing, done = _STATES[ImportStage(self.stage)]
        if self.job.state == JobState.DONE:
            return done
        if self.job.state == JobState.PAUSED:
            return "paused"
        return doing if self.job.state in _OPEN else "interrupted"


class ImportRow(models.Model):
    """One row of the file: its text as it was read, and what became of it.

    `identity` is what two rows of one file must not share. `details` has what it changed, so that it can be put back.
    """

    pk = models.CompositePrimaryKey("batch_id", "position")
    batch = models.ForeignKey(ImportBatch, on_delete=models.PROTECT, related_name="rows", db_index=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    position = models.IntegerField()
    # Where the row ends in the file; a cell may hold line breaks.
    line = models.IntegerField()
    cells = models.JSONField()
    # Why the row cannot be read, whatever the mapping.
    fault = models.CharField(max_length=300, blank=True, default="")
    identity = models.CharField(max_length=32, blank=True, default="")
    expected = models.CharField(max_length=9, choices=RowOutcome.choices, blank=True, default="")
    outcome = models.CharField(max_length=9, choices=RowOutcome.choices, blank=True, default="")
    errors = models.JSONField(default=list)
    object_type = models.CharField(max_length=20, blank=True, default="")
    object_id = models.UUIDField(null=True)
    object_label = models.CharField(max_length=255, blank=True, default="")
    details = models.JSONField(default=dict)
    reversal = models.CharField(max_length=8, choices=RowReversal.choices, blank=True, default="")
    reversal_note = models.CharField(max_length=1000, blank=True, default="")

    class Meta:
        db_table = "customers_import_row"
        ordering = ("batch_id", "position")
        constraints = (
            models.CheckConstraint(
                condition=models.Q(expected__in=["", *RowOutcome.values])
                & models.Q(outcome__in=["", *RowOutcome.values]),
                name="import_row_outcome_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(reversal="") | models.Q(outcome__in=("made", "changed")),
                name="only_what_was_imported_is_reversed",
            ),
        )
        indexes = (
            models.Index(fields=("batch", "outcome", "position"), name="import_rows_by_outcome"),
            models.Index(fields=("batch", "expected", "position"), name="import_rows_by_expectation"),
            models.Index(
                fields=("batch", "identity"),
                name="import_rows_by_identity",
                condition=~models.Q(identity=""),
            ),
        )

    def __str__(self) -> str:
        return str(self.position)
