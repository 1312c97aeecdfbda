"""Batch jobs over folders: they report every bad image, survive being killed, and never leave half an output."""

from piaa.jobs.common import ErrorLog, Progress, Summary
from piaa.jobs.fit import Fitter, fit_job
from piaa.jobs.tables import check_output, output_endings
from piaa.jobs.tag import TagScorer, tag_job

__all__ = [
    "ErrorLog",
    "Fitter",
    "Progress",
    "Summary",
    "TagScorer",
    "check_output",
    "fit_job",
    "output_endings",
    "tag_job",
]
