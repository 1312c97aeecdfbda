"""The experiments, one readable file each.

Comes in and goes out: nothing; `piaa.experiments.spec` reads the TOML files here. No code belongs here.
"""
