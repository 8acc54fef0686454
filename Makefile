# `make run` explains the demo picture; `make test` checks everything. Both make the environment first, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamps of what is installed: what running needs, then JupyterLab, panels and kaleido, then what the checks need.
RUN := $(VENV)/.run
LAB := $(VENV)/.lab
TEST := $(VENV)/.test
NAME := 01_stcg
NOTEBOOK := notebooks/$(NAME).ipynb
COLAB_PYTHON ?= python3.13
# A local build of torch serves Colab's versions too.
TORCH := $(shell grep '^torch==' constraints/pinned.txt)
NBVAL := --nbval-current-env --nbval-cell-timeout=600 -p no:cacheprovider
# Tests must not depend on what the shell asks for.
# One thread a process: two threads beside another process wait for each other most of the time.
NEUTRAL := env -u PYTHONPATH -u STCG_MODEL -u USE_MOCK_MODEL -u STCG_FORCE_REAL -u STCG_IMAGE_PATH -u STCG_DEVICE -u STCG_DTYPE -u STCG_QUANTISATION -u STCG_REVISION -u STCG_SEED OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help run test lint lab notebooks figures results colab newest pictures constraints clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

run: $(RUN) ## explain the demo picture with the embedded model
	@out=runs/$(NAME)-$$(date -u +%Y%m%d-%H%M%S); \
	echo "Explaining the demo picture, which takes a minute or two ..."; \
	$(BIN)/stcg run $(NOTEBOOK) --out "$$out" > /dev/null || exit 1; \
	echo "Done. The results are in $$out:"; \
	echo "  $(NAME).ipynb	the executed notebook"; \
	echo "  stcg.html	one page with all figures: open it in a browser"; \
	echo "  stcg.json	all numbers"; \
	echo "  graph.graphml	the graph, for Gephi, yEd or networkx"; \
	echo "  stcg.npz	everything, for STCG.load"

test: lint ## check style and types, run all tests and the notebooks
	$(NEUTRAL) $(BIN)/python -m pytest -n auto
	$(NEUTRAL) $(BIN)/python -m pytest -n auto --dist loadfile $(NBVAL) --nbval notebooks/*.ipynb

lint: $(TEST) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

lab: $(LAB) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

notebooks: $(LAB) ## execute the notebooks anew from notebooks/scripts and keep their outputs
	$(NEUTRAL) $(BIN)/python notebooks/execute.py

figures: $(LAB) ## make every figure of the study at its full size into runs/study (hours; go on by calling it again)
	$(BIN)/stcg figures --out runs/study

results: $(LAB) ## take runs/study into docs/findings and the README
	$(BIN)/python docs/results.py runs/study

# Both install as a user does, not editable. setuptools would also pack what earlier builds left in the checkout.
colab: ## run all notebooks with the versions that Colab brings, in .venv-colab (Python 3.13: COLAB_PYTHON)
	@test -x .venv-colab/bin/pip || $(COLAB_PYTHON) -m venv .venv-colab
	@rm -rf build *.egg-info
	@.venv-colab/bin/pip install --quiet --disable-pip-version-check --constraint constraints/colab.txt $(TORCH) . anywidget ipywidgets nbval pytest
	$(NEUTRAL) .venv-colab/bin/python -m pytest $(NBVAL) --nbval-lax notebooks/*.ipynb

newest: ## run all notebooks with the newest versions of everything but torch, in .venv-newest
	@test -x .venv-newest/bin/pip || $(COLAB_PYTHON) -m venv .venv-newest
	@rm -rf build *.egg-info
	@.venv-newest/bin/pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager $(TORCH) '.[lab]' nbval pytest
	$(NEUTRAL) .venv-newest/bin/python -m pytest $(NBVAL) --nbval-lax notebooks/*.ipynb

pictures: $(TEST) ## draw the picture of README.md anew (needs Chromium)
	$(NEUTRAL) $(BIN)/python docs/pictures.py

constraints: $(TEST) ## write the versions that are installed to constraints/pinned.txt
	$(BIN)/python constraints/freeze.py

clean: ## remove the environment and what tools leave behind; keep runs/
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN): EXTRAS :=
$(LAB): EXTRAS := [lab]
$(TEST): EXTRAS := [lab,test,train]
$(LAB): COVERS := $(RUN)
$(TEST): COVERS := $(RUN) $(LAB)
$(RUN) $(LAB) $(TEST): pyproject.toml constraints/pinned.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	@echo "Installing stcg-nb$(EXTRAS) into $(VENV), which the first time takes some minutes ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints/pinned.txt --editable '.$(EXTRAS)'
	@touch $(COVERS) $@
