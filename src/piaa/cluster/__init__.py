"""Fit and tag on several machines, as Ray Data pipelines; the result has the bytes of the one-machine run.

The jobs stay where they are, with their checkpoints, shards and reports: they are given images that were dealt with
elsewhere (`Stream`) and a learner or scorer that takes them (`spread`). What workers do is in `workers`, how their
results are carried and merged in `results`, and all of Ray in `pipeline`.
"""

from piaa.cluster.spread import Spread, parse_cluster, spread_fit, spread_tag

__all__ = ["Spread", "parse_cluster", "spread_fit", "spread_tag"]
