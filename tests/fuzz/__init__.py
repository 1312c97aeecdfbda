"""Fuzzing of everything that is read: `python -m tests.fuzz --seconds 60`, from the root of the repository.

`targets/` has a file for each kind of input, `mutate.py` makes bad input out of good input, `harness.py` runs it.
"""
