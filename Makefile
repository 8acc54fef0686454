# `make run` explains the demo picture; `make test` checks everything. Both make the environment first, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NAME := 01_stcg
NOTEBOOK := notebooks/$(NAME).ipynb
# Tests must not depend on what the shell asks for.
NEUTRAL := env -u STCG_MODEL -u USE_MOCK_MODEL -u STCG_FORCE_REAL -u STCG_IMAGE_PATH -u STCG_DEVICE -u STCG_DTYPE -u STCG_SEED

.DEFAULT_GOAL := help
.PHONY: help run test lint lab notebooks pictures constraints clean

help: ## list what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' $(MAKEFILE_LIST)

run: $(READY) ## explain the demo picture with the embedded model
	@out=runs/$(NAME)-$$(date -u +%Y%m%d-%H%M%S); \
	echo "Explaining the demo picture, which takes about a minute ..."; \
	$(BIN)/stcg run $(NOTEBOOK) --out "$$out" > /dev/null || exit 1; \
	echo "Done. The results are in $$out:"; \
	echo "  $(NAME).ipynb	the executed notebook"; \
	echo "  stcg.html	one page with all figures: open it in a browser"; \
	echo "  stcg.json	all numbers"; \
	echo "  graph.graphml	the graph, for Gephi, yEd or networkx"; \
	echo "  stcg.npz	everything, for STCG.load"

test: lint ## check style and types, run all tests and the notebooks
	$(NEUTRAL) $(BIN)/python -m pytest
	$(NEUTRAL) $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=600 notebooks/*.ipynb

lint: $(READY) ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lab: $(READY) ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

notebooks: $(READY) ## execute the notebooks anew from notebooks/scripts and keep their outputs
	$(NEUTRAL) $(BIN)/python notebooks/execute.py

pictures: $(READY) ## draw the picture of README.md anew (needs Chromium)
	$(NEUTRAL) $(BIN)/python docs/pictures.py

constraints: $(READY) ## write the versions that are installed to constraints/pinned.txt
	$(BIN)/python constraints/freeze.py

clean: ## remove the environment and what tools leave behind; keep runs/
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints/pinned.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one: make PYTHON=python3.12")'
	@echo "Installing into $(VENV), which the first time takes some minutes ..."
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints/pinned.txt --editable '.[lab,test,train]'
	@touch $@
