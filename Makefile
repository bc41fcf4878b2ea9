# Every target sets up what it needs first and does nothing twice. Works with GNU make 3.81, the
# one that macOS has, so commands of .venv are called by path: that make looks up plain ones in
# the caller's PATH.

# PYTHON=/path/to/python picks the interpreter; otherwise the first of these that TensorFlow
# has wheels for. They are run, not looked up: a version manager's stand-in may lead nowhere.
PYTHON ?= python3.13 python3.12 python3.11 python3
BIN := .venv/bin
PINS := requirements/numpy.txt requirements/tensorflow.txt requirements/reports.txt \
	requirements/tools.txt requirements/dev.txt

ifneq ($(findstring :,$(CURDIR)),)
$(error expected a folder without a colon in its path, found $(CURDIR): PATH, by which DVC finds \
python, cannot hold it. Rename or move the folder)
endif

# dvc.yaml's commands say `python` and mean the one of .venv, from .quick/ too.
export PATH := $(CURDIR)/$(BIN):$(value PATH)

# Empty unless .venv works where it is: its programs name the folder in which it was made, and its
# packages are in one named by the version of Python. Checked on each call, in 0.03 s.
SOUND := $(shell $(BIN)/python -I -c 'import os, pip, re; \
	made_in = re.search(r"(/.*)/python", open("$(BIN)/pip").read(400)).group(1); \
	print(os.path.samefile(made_in, "$(BIN)") or "")' 2>/dev/null)

# Pixels a side of the images that a new study learns from.
SIDE ?= 64

# JOBS=2 runs stages side by side here, CLUSTER=ADDRESS on the workers of a Dask scheduler; PLAIN=1
# takes an address of another machine without encryption. Only on make's command line: other
# programs' variables may have these names.
given = $(if $(filter command line,$(origin $1)),$($1))
SIDE_BY_SIDE := $(strip $(if $(call given,CLUSTER),\
	--scheduler $(CLUSTER) $(if $(call given,PLAIN),--plain),$(if $(call given,JOBS),--jobs $(JOBS))))
# DVC says "disk I/O error" when this disk is full, or that of its hashes. A model takes up to 20 MB.
FULL_DISKS = df -Pk . "$${DVC_SITE_CACHE_DIR:-/var/tmp}" | awk 'NR > 1 && $$4 < 25000 \
	{print "The disk of " $$6 " is full: free space, then run again; finished stages are kept"}'
# By PATH, which the shell looks up, from .quick/ too: the path itself may hold a dollar sign.
REPRO = python -m pipeline.tools.repro $(SIDE_BY_SIDE) $(if $(filter seeds,$@),--seeds) \
	|| { $(FULL_DISKS) >&2; exit 1; }

.PHONY: help repro seeds quick plan prune verify check study plots bench test test-all lint lock setup clean
.PHONY: anew
.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

repro: ## run what is missing or has changed; JOBS=2 two stages at a time
seeds: ## the same, and the variants that differ from another in their seed alone
repro seeds: .venv/ready $(if $(call given,CLUSTER),.venv/cluster)
	@$(BIN)/python -m pipeline.tools.config
	@$(BIN)/python -m pipeline.tools.environment
	@$(BIN)/python -m pipeline.tools.repository check
	@$(REPRO)

quick: .venv/ready $(if $(call given,CLUSTER),.venv/cluster) ## the whole graph, narrow, in one epoch of few images, in .quick/
	@$(BIN)/python -m pipeline.tools.new_project quick
	@cd .quick && $(REPRO)
	@echo "The results are in .quick/reports; nothing outside .quick and data was touched."

plan: .venv/ready ## say what `make repro` would run, and why
	@$(BIN)/python -m pipeline.tools.config
	@$(BIN)/python -m pipeline.tools.plan

prune: .venv/ready ## delete what variants left that params.yaml no longer has
	@$(BIN)/python -m pipeline.tools.config
	@$(BIN)/python -m pipeline.tools.repository prune

verify: .venv/ready ## train again from the last commit: compare the bytes with the committed ones; VARIANT=... or all, default the first
	@$(BIN)/python -m pipeline.tools.verify $(VARIANT)

check: .venv/ready ## read DVC's cache and the outputs again, and name what is damaged
	@$(BIN)/python -m pipeline.tools.repository check

# By way of the environment, in which make has what it was called with: a folder's name may have any
# character.
study: .venv/ready ## a project of its own for your photos: DIR=../flowers PHOTOS=~/flowers SIDE=64
	@$(BIN)/python -m pipeline.tools.new_project study "$$DIR" "$$PHOTOS" "$(SIDE)"

plots: .venv/ready ## draw DVC's plots into dvc_plots/, no network needed; REV=HEAD~1 beside older ones
	@$(BIN)/python -m pipeline.tools.repository plots
	@$(BIN)/dvc plots $(if $(REV),diff $(REV),show) --html-template .dvc/tmp/plots.html

bench: .venv/ready ## measure speed, overheads and memory on an idle machine; writes reports/bench/
	@$(BIN)/python benchmarks/bench.py

# On all cores, four at most, as each may have TensorFlow in memory.
PYTEST = $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4

test: .venv/ready .venv/cluster lint ## check the style, then run all but the slow tests
	@$(PYTEST) -m "not slow" --dist worksteal

# A file's tests in one process, as they share what took minutes to make.
test-all: test ## run every test: those of `make test`, then the slow ones
	@$(PYTEST) -m slow --dist loadfile

lint: .venv/ready ## ruff and mypy
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet || { $(BIN)/ruff format --diff; exit 1; }
	@$(BIN)/mypy

lock: .venv/ready ## resolve requirements/lock.txt anew, keeping every version that still fits
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-header --output-file requirements/lock.txt $(PINS)
	@for extra in cluster cuda; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest \
			--generate-hashes --no-header --constraint requirements/lock.txt \
			--output-file requirements/$$extra-lock.txt requirements/$$extra.txt || exit 1; done

setup: .venv/ready ## only make .venv with the locked packages

clean: ## delete .venv, .quick, logs and unfinished trainings; data, models and DVC's cache stay
	rm -rf .venv .quick .checkpoints logs .mypy_cache .pytest_cache .ruff_cache

# Every file installed is one whose hash stands in lock.txt. One package is built from source, by
# setuptools: the locked one, installed first, as pip would otherwise fetch one unchecked.
.venv/ready: requirements/lock.txt $(if $(SOUND),,anew)
	@[ "$(SOUND)" ] || { \
		[ ! -L .venv ] || { echo "make: expected .venv to be an environment for this folder, found" \
			"a link to one that does not work here; delete the link" >&2; exit 1; }; \
		[ ! -e .venv/ready ] || echo "The project was moved, or its Python replaced"; \
		for python in $(PYTHON); do \
			$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
				2>/dev/null && break; \
			python=; \
		done; \
		[ -n "$$python" ] || { echo "make: expected Python 3.11, 3.12 or 3.13, found none as" \
			"$(PYTHON); install one, or name it: make PYTHON=/path/to/python" >&2; exit 1; }; \
		echo "Making .venv with $$($$python -V)"; \
		$$python -m venv --clear .venv || { echo "make: $$python cannot make a virtual" \
			"environment; install its venv module (Debian: python3-venv)" >&2; exit 1; }; }
	@echo "Installing the packages of $< (3 GB; about two minutes)"
	@awk '/^[a-z]/ {on = /^setuptools==/} on' $< > .venv/setuptools.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r .venv/setuptools.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--no-build-isolation -r $<
	@touch $@

# Extras: Dask for stages on other machines, and NVIDIA's CUDA libraries for `device: gpu`.
.venv/cluster .venv/cuda: .venv/%: requirements/%-lock.txt .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
