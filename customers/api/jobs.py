"""/v1/jobs: work that takes longer than a request."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.response import Response

from customers.api.authentication import scope_check
from customers.api.fields import InstantField
from customers.api.idempotency import idempotent
from customers.api.requests import ApiRequest
from customers.api.views import Endpoint
from customers.errors import JobNotFound
from customers.kernel.clock import system_now
from customers.kernel.ids import typeid_parse
from customers.models import Job, JobResult, JobState
from customers.services.jobs import job_cancel, job_pause, job_resource, job_resume


class ProgressShow(serializers.Serializer[Job]):
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True, help_text="Null until it is known.")


class JobShow(serializers.Serializer[Job]):
    id = serializers.CharField(source="public_id")
    kind = serializers.CharField()
    state = serializers.ChoiceField(choices=JobState.choices)
    progress = ProgressShow(source="*")
    result = serializers.DictField(allow_null=True, help_text="What came out in sum, once it is done.")
    error = serializers.CharField(allow_blank=True, help_text="Why it failed.")
    created_at = InstantField()
    started_at = InstantField(allow_null=True)
    finished_at = InstantField(allow_null=True)


class JobResultShow(serializers.Serializer[JobResult]):
    """One row of what was found. Beside whom it is about, its members depend on the kind of job."""

    customer_id = serializers.CharField(required=False)
    external_customer_id = serializers.CharField(required=False, allow_null=True)

    def to_representation(self, instance: JobResult) -> Any:
        return instance.data


class JobFilter(filters.FilterSet):  # type: ignore[misc, unused-ignore] # untyped in every release so far
    kind = filters.CharFilter(label="Exactly this kind.")
    state = filters.ChoiceFilter(choices=JobState.choices)

    class Meta:
        model = Job
        fields: tuple[str, ...] = ()


JOB_EXAMPLE = {
    "id": "job_01jr2zk5q8e4f9t6v7w8x9y0za",
    "kind": "metering.replay",
    "state": "running",
    "progress": {"done": 250000, "total": 1000000},
    "result": None,
    "error": "",
    "created_at": "2026-04-03T09:00:00Z",
    "started_at": "2026-04-03T09:00:01Z",
    "finished_at": None,
}
_SHOWN = OpenApiExample("A job", value=JOB_EXAMPLE, response_only=True)
_SCOPE = "Needs the scope of what the job does: `catalog:read` for replays of usage."


class JobEndpoint(Endpoint):
    """Whose scope may see a job depends on what it does."""

    resource = "catalog"
    serializer_class: type[serializers.BaseSerializer[Any]] = JobShow
    permission_classes = ()
    queryset: QuerySet[Any] = Job.objects.none()

    def job(self, request: ApiRequest, text: str, *, right: str = "read") -> Job:
        job_id = typeid_parse("job", text)
        job = Job.objects.filter(id=job_id).first() if job_id else None
        if job is None:
            raise JobNotFound(f"There is no job {text[:64]}.")
        scope_check(request.key, f"{job_resource(job.kind)}:{right}")
        return job


class Jobs(JobEndpoint):
    filterset_class = JobFilter

    @extend_schema(
        operation_id="jobs_list",
        tags=["Jobs"],
        summary="List jobs",
        description="Those that the key's scopes may see.",
        responses=JobShow(many=True),
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest) -> Response:
        return self.page(self._visible(request), JobShow)

    def _visible(self, request: ApiRequest) -> QuerySet[Job]:
        if not request.key.scopes:
            return Job.objects.all()
        kinds = Job.objects.order_by("kind").values_list("kind", flat=True).distinct()
        return Job.objects.filter(
            kind__in=[kind for kind in kinds if request.key.may(f"{job_resource(kind)}:read")]
        )


class JobDetail(JobEndpoint):
    @extend_schema(
        operation_id="jobs_get",
        tags=["Jobs"],
        summary="Get a job",
        description=f"Its state, and how far it is. {_SCOPE}",
        responses=JobShow,
        extensions={"x-problems": ["job-not-found"]},
        examples=[_SHOWN],
    )
    def get(self, request: ApiRequest, job_id: str) -> Response:
        return Response(JobShow(self.job(request, job_id)).data)


class JobCancel(JobEndpoint):
    @extend_schema(
        operation_id="jobs_cancel",
        tags=["Jobs"],
        summary="Cancel a job",
        description=f"It stops at its next step; what it found stays. {_SCOPE.replace(':read', ':write')}",
        request=None,
        responses=JobShow,
        extensions={"x-problems": ["job-not-found", "job-finished"]},
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, job_id: str) -> Response:
        job = self.job(request, job_id, right="write")
        return Response(JobShow(job_cancel(caller=request.caller, job_id=job.id, now=system_now())).data)


class JobPause(JobEndpoint):
    @extend_schema(
        operation_id="jobs_pause",
        tags=["Jobs"],
        summary="Pause a job",
        description=f"It stops at its next step and keeps its place. {_SCOPE.replace(':read', ':write')}",
        request=None,
        responses=JobShow,
        extensions={"x-problems": ["job-not-found", "job-finished"]},
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, job_id: str) -> Response:
        job = self.job(request, job_id, right="write")
        return Response(JobShow(job_pause(caller=request.caller, job_id=job.id, now=system_now())).data)


class JobResume(JobEndpoint):
    @extend_schema(
        operation_id="jobs_resume",
        tags=["Jobs"],
        summary="Have a paused job go on",
        description=f"From where it was. {_SCOPE.replace(':read', ':write')}",
        request=None,
        responses=JobShow,
        extensions={"x-problems": ["job-not-found", "job-finished"]},
        examples=[_SHOWN],
    )
    @idempotent()
    def post(self, request: ApiRequest, job_id: str) -> Response:
        job = self.job(request, job_id, right="write")
        return Response(JobShow(job_resume(caller=request.caller, job_id=job.id, now=system_now())).data)


class JobResults(JobEndpoint):
    serializer_class = JobResultShow
    queryset = JobResult.objects.none()
    cursor_field = "position"

    @extend_schema(
        operation_id="jobs_results",
        tags=["Jobs"],
        summary="List what a job found",
        description=f"One row each, the latest first, also while the job is running. {_SCOPE}",
        responses=JobResultShow(many=True),
        extensions={"x-problems": ["job-not-found"]},
        examples=[
            OpenApiExample(
                "One customer of a replay",
                value={
                    "customer_id": "0198d0c2-7d4a-7c3e-9d55-0d2f6f3a1b42",
                    "external_customer_id": "user_quickstart",
                    "events": 12,
                    "before": 12000,
                    "after": 9000,
                    "difference": -3000,
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: ApiRequest, job_id: str) -> Response:
        job = self.job(request, job_id)
        return self.page(JobResult.objects.filter(job=job), JobResultShow)
