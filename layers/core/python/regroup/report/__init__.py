"""The report of a router's evaluation: one HTML page that needs nothing beside itself.

No script, no font and no image is fetched, so the page opens from a mail, a bucket or a disk, and
the same `Report` gives the same bytes. The drawing library is imported by `render`, not before.
"""

from regroup.report.model import (
    ClusterMap,
    Curve,
    Frontier,
    Point,
    RegretByCluster,
    Reliability,
    Report,
    Table,
)
from regroup.report.page import render

__all__ = [
    "ClusterMap",
    "Curve",
    "Frontier",
    "Point",
    "RegretByCluster",
    "Reliability",
    "Report",
    "Table",
    "render",
]
