from metering.models.cycle_counter import CycleCounter
from metering.models.event_archive import ArchivedHour, EventArchive
from metering.models.event_void import EventVoid
from metering.models.metric import Aggregation, BillableMetric, MetricStatus
from metering.models.reservation import Reservation, ReservationStep, StepKind
from metering.models.rule import CostType, MeteringRule
from metering.models.snapshot_pause import SnapshotPause
from metering.models.usage_event import UsageEvent
from metering.models.usage_hour import UsageHour, UsageHourOfAll, UsageWatermark
from metering.models.usage_key import UsageKey

__all__ = [
    "Aggregation",
    "ArchivedHour",
    "BillableMetric",
    "CostType",
    "CycleCounter",
    "EventArchive",
    "EventVoid",
    "MeteringRule",
    "MetricStatus",
    "Reservation",
    "ReservationStep",
    "SnapshotPause",
    "StepKind",
    "UsageEvent",
    "UsageHour",
    "UsageHourOfAll",
    "UsageKey",
    "UsageWatermark",
]
