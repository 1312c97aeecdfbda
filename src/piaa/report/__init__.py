"""The HTML report: pure data in, one self-contained page out."""

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
