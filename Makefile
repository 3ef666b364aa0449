# Everything that people type. Each target sets itself up: in a fresh clone `make demo` is all it takes.

PYTHON ?= python3
BIN    := .venv/bin
READY  := .venv/.ready
DEMO   ?= outputs/demo

.DEFAULT_GOAL := help
.PHONY: help demo test docs bench study lab export clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

$(READY): settings.ini setup.py pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11, for which constraints.txt pins the packages. Try: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## train the lab's adapters, embed them by behaviour, train a generator and judge it, into outputs/demo
	$(BIN)/llgbm demo --output_dir $(DEMO)

# Tests run in parallel processes: two torch processes with all threads each are slower than one.
test: export OMP_NUM_THREADS := 1
test: $(READY) ## run every notebook as a test, then tests/
	@rc=0; \
	$(BIN)/python tools/run_notebooks.py || rc=1; \
	$(BIN)/python -m pytest tests || rc=1; \
	exit $$rc

bench: $(READY) ## run the benchmarks and keep their figures in nbs/benchmarks
	$(BIN)/python tools/run_notebooks.py nbs/benchmarks --save
	$(BIN)/nbdev-clean --fname nbs/benchmarks

# Runs that are finished are kept in outputs/, so a study that was stopped goes on.
study: $(READY) ## train generators with three seeds, run all studies (hours), and keep their figures in nbs/studies
	$(BIN)/llgbm ablate --sweep configs/sweeps/study.yaml --output_dir outputs/study
	$(BIN)/llgbm ablate --sweep configs/sweeps/tasks.yaml --output_dir outputs/study_tasks
	$(BIN)/python tools/run_notebooks.py nbs/studies --save
	$(BIN)/nbdev-clean --fname nbs/studies

lab: $(READY) ## train the lab's two bases again and compare them with those shipped
	$(BIN)/llgbm lab build
	$(BIN)/llgbm lab build --family gpt2

docs: $(READY) ## process the pages of the site, and render them where quarto is installed
	$(BIN)/python tools/build_docs.py

export: $(READY) ## after editing notebooks: clean them, write llgbm/ and README.md
	$(BIN)/nbdev-clean
	$(BIN)/nbdev-export
	$(BIN)/python tools/write_readme.py

clean: ## remove the environment and everything that was built or written
	rm -rf .venv build dist *.egg-info _docs _proc outputs .pytest_cache
	find llgbm nbs tests tools -name __pycache__ -prune -exec rm -rf {} +
