# Every target makes what it needs; start anywhere. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
DEMO := demo

.PHONY: demo test parity check format clean

demo: $(VENV)/installed
	$(RUN) train.py --config=configs/smoke.py --workdir=$(DEMO)/run
	$(RUN) -m stya2k_jax.drawing --output=$(DEMO)/pictures
	$(RUN) stylize.py --checkpoint=$(DEMO)/run --output=$(DEMO)/stylized \
		--content=$(DEMO)/pictures/content --style=$(DEMO)/pictures/style --content_size=0 --style_size=0
	@echo "Training samples: $(DEMO)/run/images; stylized pictures: $(DEMO)/stylized"

test: $(VENV)/installed-test
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(RUN) -m pytest -q -m "not parity"

parity: $(VENV)/installed-torch
	$(RUN) -m pytest -q -m parity

check: test parity

format: $(VENV)/installed-test
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build dist *.egg-info

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/installed-torch: $(VENV)/installed-test
	$(RUN) -m pip install --quiet --editable '.[test,torch]'
	touch $@
