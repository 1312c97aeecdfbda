"""Benchmarks that can be repeated: what the encoder costs, what the method adds, where the time goes.

Everything is a ratio of two things measured in turn in one run, so that a busy or a slow machine changes both. Every
number comes with the machine, the thread count and the spread.
"""
