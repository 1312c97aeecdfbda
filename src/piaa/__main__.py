"""`python -m piaa` is `piaa`."""

from piaa.cli.main import run

run()
