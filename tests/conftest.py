"""For all tests."""

import os

os.environ.pop("COLUMNS", None)  # pytest-xdist sets it in its processes, and Rich would keep that width for good
