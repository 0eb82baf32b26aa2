"""Refusals. Each is a class with a code; the API shows it as a problem document (RFC 9457), the admin as a message.

The class docstring is the text of the problem's page in the docs (`/problems/<code>`): what happened, what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field of the input; `field` is a path such as `events.3.units`."""

    field: str
    code: str
    message: str


class DomainError(Exception):
    """Something was asked for that is refused, and nothing was written."""

    code: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        extra: dict[str, Any] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.errors = tuple(errors)
        # Further members of the problem document, e.g. the id of the object that exists already.
        self.extra = extra or {}
        self.retry_after_seconds = retry_after_seconds


class MalformedRequest(DomainError):
    """The request could not be read: the body is not valid JSON, or not an object."""

    code, status, title = "malformed-request", 400, "The request could not be read"


class AmbiguousCustomer(DomainError):
    """Exactly one of `customer_id` and `external_customer_id` names the customer. Send one of them."""

    code, status, title = "ambiguous-customer", 400, "Name the customer by exactly one id"


class NotAuthenticated(DomainError):
    """The API key is missing, unknown, expired or revoked. Send it as `X-API-Key` or `Authorization: Bearer`."""

    code, status, title = "not-authenticated", 401, "A valid API key is required"


class ScopeMissing(DomainError):
    """The key is valid but was not given the scope this call needs. Use another key or make one with the scope."""

    code, status, title = "scope-missing", 403, "The API key lacks a scope"


class NotFound(DomainError):
    """There is no such object in the environment of the API key. Objects of another environment are not visible."""

    code, status, title = "not-found", 404, "Not found"


class CustomerNotFound(NotFound):
    """No customer has this id in the environment of the API key. Check that it is not the other environment's key."""

    code, title = "customer-not-found", "There is no such customer"


class NoteNotFound(NotFound):
    """No note about a customer has this id in this environment."""

    code, title = "note-not-found", "There is no such note"


class JobNotFound(NotFound):
    """No job has this id in the environment of the API key."""

    code, title = "job-not-found", "There is no such job"


class ImportNotFound(NotFound):
    """No import has this id in the environment of the API key."""

    code, title = "import-not-found", "There is no such import"


class MethodNotAllowed(DomainError):
    """The path exists, but not for this HTTP method. The `Allow` header lists those it has."""

    code, status, title = "method-not-allowed", 405, "Method not allowed"


class Conflict(DomainError):
    """The object is not in a state that allows this."""

    code, status, title = "conflict", 409, "Conflict with the present state"


class CustomerExists(Conflict):
    """A customer with this `id` or `external_id` exists already; `existing_id` in the problem names it."""

    code, title = "customer-exists", "The customer exists already"


class JobFinished(Conflict):
    """The job is done, failed or canceled already, so it cannot be canceled. What it found stays."""

    code, title = "job-finished", "The job is finished"


class NoteWithdrawn(Conflict):
    """Somebody has withdrawn this note already; its text is gone. Nothing more was done."""

    code, title = "note-withdrawn", "The note is withdrawn"


class ApprovalNotFound(NotFound):
    """No request for approval has this id in this environment."""

    code, title = "approval-not-found", "There is no such request"


class ApprovalDecided(Conflict):
    """Somebody has decided this request already, or its maker has taken it back. Nothing more was done."""

    code, title = "approval-decided", "The request is decided"


class ApprovalExpired(Conflict):
    """Nobody decided this request in time. Ask again, if it is still wanted."""

    code, title = "approval-expired", "The request has expired"


class ApprovalIsYours(Conflict):
    """A second person decides, never the one who asked. The maker may take the request back."""

    code, title = "approval-is-yours", "Your own request needs somebody else"


class ApprovalIsNotYours(Conflict):
    """Only who made a request takes it back; anybody else who may decide rejects it."""

    code, title = "approval-is-not-yours", "Only its maker takes a request back"


class ApprovalAboveYourLimit(Conflict):
    """The amount is above what the one who decides may do alone. Somebody with a higher limit decides."""

    code, title = "approval-above-your-limit", "The amount is above your own limit"


class ApprovalOutdated(Conflict):
    """What the deed would do now is not what its maker was shown: the world has changed meanwhile. Nothing was done.
    Reject the request; its maker looks at the present effect and asks again.
    """

    code, title = "approval-outdated", "The world has changed since this was asked for"


class ImportNotReady(Conflict):
    """The import is not at a point where this is possible. An import is checked, then started, then possibly reversed;
    `state` in the problem says where it is. While it is checking, importing or reversing, wait; what was interrupted
    can be started again.
    """

    code, title = "import-not-ready", "The import is not at that point"


class ImportAboveLimit(Conflict):
    """The import moves more credits than the person, or the API key, may move alone. Somebody with a higher limit
    starts, goes on with, or reverses it in the admin.
    """

    code, title = "import-above-limit", "The import is above your limit"


class ImportRowStays(Conflict):
    """What the row made cannot be taken back: somebody has used or changed it since. It stays, and its row says why."""

    code, title = "import-row-stays", "What the row made stays"


class TestClockOnLive(DomainError):
    """Time on a live environment is the system's. Only a test environment can have a clock of its own; use its key."""

    # What is named Test… is no test.
    __test__ = False
    code, status, title = "test-clock-on-live", 403, "A live environment has no test clock"


class TestClockMissing(Conflict):
    """The environment goes by the system's time. Set its clock first: `POST /v1/test-clock`."""

    __test__ = False
    code, title = "test-clock-missing", "The environment has no test clock"


class TestClockBackwards(Conflict):
    """Time is only advanced. `frozen_time` says where the clock stands; `to` must not lie before it."""

    __test__ = False
    code, title = "test-clock-backwards", "The clock is further already"


class TestClockBehindFacts(Conflict):
    """Something happened in the environment after the time asked for, and cannot come to lie in its future. The problem
    names it in `latest_fact` and `latest_fact_at`: choose that instant or a later one, or another test environment.
    """

    __test__ = False
    code, title = "test-clock-behind-facts", "Something happened after that time"


class TestClockStuck(Conflict):
    """Something that was due could not be done, or finds no end; `source` and `detail` name it. The clock stands at the
    last instant before it, and everything up to there is done. Once the cause is mended, advance again.
    """

    __test__ = False
    code, title = "test-clock-stuck", "The clock could not go on"


class IdempotencyKeyInFlight(DomainError):
    """Another request with the same Idempotency-Key is still being worked on. Wait as `Retry-After` says and retry."""

    code, status, title = "idempotency-key-in-flight", 409, "The first request with this key is still running"


class PayloadTooLarge(DomainError):
    """The request body is larger than this installation accepts (1 MiB unless set otherwise)."""

    code, status, title = "payload-too-large", 413, "The request body is too large"


class ImportTooLarge(DomainError):
    """The file has more bytes or rows than this installation takes at once. Divide it; each part needs a first line."""

    code, status, title = "import-too-large", 413, "The file is too large"


class UnsupportedMediaType(DomainError):
    """Bodies are JSON: send `Content-Type: application/json`."""

    code, status, title = "unsupported-media-type", 415, "Send JSON"


class ValidationFailed(DomainError):
    """A field is missing, unknown, of the wrong type or out of bounds. `errors` names each field and what is wrong."""

    code, status, title = "validation-failed", 422, "The input is not valid"


class ImportUnreadable(DomainError):
    """The file is not the CSV it should be: UTF-8, a first line that names the columns, separated by commas,
    semicolons or tabs, quotes in pairs. The detail names the line. Nothing was kept of it.
    """

    code, status, title = "import-unreadable", 422, "The file cannot be read"


class IdempotencyKeyMissing(DomainError):
    """This call moves credits, so it needs an `Idempotency-Key` header: derive it from your own order or request id."""

    code, status, title = "idempotency-key-missing", 422, "An Idempotency-Key is required"


class IdempotencyKeyReused(DomainError):
    """This Idempotency-Key was used before for another request. A new request needs a new key."""

    code, status, title = "idempotency-key-reused", 422, "The Idempotency-Key was used for something else"


class RateLimited(DomainError):
    """The key sends requests faster than its limit. Wait as `Retry-After` says."""

    code, status, title = "rate-limited", 429, "Too many requests"


class ServerFault(DomainError):
    """Something broke on our side. It was logged under the `request_id`; retrying with the same key is safe."""

    code, status, title = "server-fault", 500, "Something went wrong on our side"


class Unavailable(DomainError):
    """The database cannot be reached at the moment. Retrying with the same Idempotency-Key is safe."""

    code, status, title = "unavailable", 503, "Temporarily unavailable"
