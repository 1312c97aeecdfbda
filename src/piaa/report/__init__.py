"""Pages and pictures for people.

Comes in: pure data, or the `Explanation` of one image. Goes out: one self-contained HTML page, or a picture. Nothing is
measured or learnt here, and the command line must never be imported.
"""

from piaa.report.builder import build_report, write_report
from piaa.report.data import (
    BankClass,
    BankPatch,
    ClassRow,
    GalleryImage,
    LabelCall,
    MeasuredOn,
    MethodRow,
    Note,
    ReportData,
    Step,
    ThresholdRow,
)
from piaa.report.reasons import reason, worst

__all__ = [
    "BankClass",
    "BankPatch",
    "ClassRow",
    "GalleryImage",
    "LabelCall",
    "MeasuredOn",
    "MethodRow",
    "Note",
    "ReportData",
    "Step",
    "ThresholdRow",
    "build_report",
    "reason",
    "worst",
    "write_report",
]
