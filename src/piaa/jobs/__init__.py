"""Batch jobs over collections: they report every bad image, survive being killed, and never leave half an output.

Comes in: items and anything with the face of a `Learner` or a `Scorer`. Goes out: a classifier file, or a table of
labels, and a `Summary`. No metric, no true label and no terminal is known here.
"""

from piaa.jobs.common import ErrorLog, Progress, Summary
from piaa.jobs.fit import Fitter, fit_job
from piaa.jobs.layout import Layout
from piaa.jobs.limits import ErrorLimit, parse_max_errors
from piaa.jobs.rows import TagScorer
from piaa.jobs.run import Listener
from piaa.jobs.shards import Share, parse_share
from piaa.jobs.signals import Stop, stops_on_signals
from piaa.jobs.stream import tag_stream
from piaa.jobs.tables import check_output, output_endings
from piaa.jobs.tag import tag_job

__all__ = [
    "ErrorLimit",
    "ErrorLog",
    "Fitter",
    "Layout",
    "Listener",
    "Progress",
    "Share",
    "Stop",
    "Summary",
    "TagScorer",
    "check_output",
    "fit_job",
    "output_endings",
    "parse_max_errors",
    "parse_share",
    "stops_on_signals",
    "tag_job",
    "tag_stream",
]
