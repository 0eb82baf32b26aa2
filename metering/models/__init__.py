from metering.models.metric import Aggregation, BillableMetric, MetricStatus
from metering.models.rule import CostType, MeteringRule
from metering.models.usage_event import UsageEvent

__all__ = ["Aggregation", "BillableMetric", "CostType", "MeteringRule", "MetricStatus", "UsageEvent"]
