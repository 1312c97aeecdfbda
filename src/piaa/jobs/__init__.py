"""Batch jobs that survive bad inputs and their own death: fit and tag over folders."""

from piaa.jobs.errorlog import ErrorLog
from piaa.jobs.fit import fit_job
from piaa.jobs.summary import Summary
from piaa.jobs.tag import tag_job
from piaa.jobs.workdir import WorkDir

__all__ = ["ErrorLog", "Summary", "WorkDir", "fit_job", "tag_job"]
