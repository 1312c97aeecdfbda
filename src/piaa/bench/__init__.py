"""Benchmarks that can be repeated: what the encoder costs, what the method adds, where the time goes.

Comes in: a model's name and how often to repeat. Goes out: ratios with their spread. The command line must never be
imported here. Everything is a ratio of two things measured in turn in one run, so that a busy or a slow machine
changes both. Every number comes with the machine, the thread count and the spread.
"""
