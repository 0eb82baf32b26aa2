from metering.models.metric import Aggregation, BillableMetric, MetricStatus
from metering.models.rule import CostType, MeteringRule

__all__ = ["Aggregation", "BillableMetric", "CostType", "MeteringRule", "MetricStatus"]
