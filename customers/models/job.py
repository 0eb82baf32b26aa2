from __future__ import annotations

from django.db import models

from customers.kernel.ids import typeid, uuid7
from customers.models.environment import Environment


class JobState(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELED = "canceled", "Canceled"


class Job(models.Model):
    """Work that takes longer than a request. Times are the wall clock's: they are about our workers.

    A worker holds it by `run_id`, and shows with `heartbeat_at` that it lives. When it dies, another one takes the job
    over under a new `run_id` and goes on from `checkpoint`.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=60)
    state = models.CharField(max_length=8, choices=JobState.choices, default=JobState.QUEUED)
    # How much there is to do, null until it is known, and how much of it is done.
    total = models.BigIntegerField(null=True)
    done = models.BigIntegerField(default=0)
    parameters = models.JSONField()
    # Where to go on; written together with the results up to there.
    checkpoint = models.JSONField(null=True)
    result = models.JSONField(null=True)
    error = models.CharField(max_length=1000, blank=True, default="")
    actor = models.CharField(max_length=200)
    request_id = models.CharField(max_length=60, blank=True, default="")
    run_id = models.UUIDField(null=True)
    # How often a worker has begun it: one that kills its workers is given up.
    attempts = models.IntegerField(default=0)
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "customers_job"
        ordering = ("-id",)
        constraints = (
            models.CheckConstraint(condition=models.Q(state__in=JobState.values), name="job_state_is_known"),
            models.CheckConstraint(
                condition=models.Q(state__in=("queued", "running", "paused"), finished_at__isnull=True)
                | (
                    ~models.Q(state__in=("queued", "running", "paused")) & models.Q(finished_at__isnull=False)
                ),
                name="a_job_is_finished_when_it_says_so",
            ),
        )
        indexes = (
            models.Index(fields=("environment", "id"), name="jobs_newest_first"),
            models.Index(
                fields=("id",), name="jobs_to_do", condition=models.Q(state__in=("queued", "running"))
            ),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.public_id}"

    @property
    def public_id(self) -> str:
        return typeid("job", self.id)


class JobResult(models.Model):
    """One row of a job's result, such as one customer's; in the order in which they were found."""

    pk = models.CompositePrimaryKey("job_id", "position")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="results", db_index=False)
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="+", db_index=False)
    position = models.BigIntegerField()
    data = models.JSONField()

    class Meta:
        db_table = "customers_job_result"
        ordering = ("job_id", "position")

    def __str__(self) -> str:
        return str(self.position)
