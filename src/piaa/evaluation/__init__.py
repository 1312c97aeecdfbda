"""How good the scores are: truth files, the measurement of a classifier, metrics, comparisons of two runs.

Comes in: images with known labels and a `Scorer`, or stored score tables. Goes out: numbers with their intervals.
Nothing that draws or prints is imported here, and no true label ever leaves for a learner.
"""
