# Two commands: `make demo` and `make test`. Both create what they need in .venv, as do `make check` and `make docs`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 7
OUT ?= demo-output

READERS ?= .readers
SOAK ?= --out docs/bench/soak.json
SECONDS ?= 60

.PHONY: demo test check audit docs readers bench soak fuzz clean
.DEFAULT_GOAL := demo

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("piaa needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade-strategy only-if-needed \
		--constraint constraints.txt --editable '.[coco,engines,exchange,app,serve,train,remote,raw,jxl,video,ray,dev,docs]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/piaa demo --seed $(SEED) --out $(OUT)

test: $(VENV)/.installed # a process for each core, one thread each; a file stays in one process
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/.installed # known holes in the pinned versions; --strict, since pip-audit alone says "none found" of what it could not look up
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --strict

docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

readers: # programs that read exports, for the tests that open exports with them
	PYTHON=$(PYTHON) tests/exchange/readers.sh $(READERS)

fuzz: $(VENV)/.installed # bad input of every kind, for so many seconds
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

bench: $(VENV)/.installed
	$(BIN)/piaa bench
	$(BIN)/python benchmarks/recipes.py
	$(BIN)/python benchmarks/embedded.py --seeds 11 12 13

soak: # kills, SIGTERM, full disks and a million items: an hour or two; SOAK=--quick for a few minutes
	$(BIN)/python benchmarks/soak.py $(SOAK)

clean:
	rm -rf $(VENV) $(OUT) site build dist *.egg-info
