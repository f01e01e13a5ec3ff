# Every target installs what it needs. PYTHON chooses the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
# Compiling takes most of the time and one core, so files are tested side by side, the longest
# first (tests/conftest.py).
PYTEST := $(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder
# Tests compile more than they compute: XLA spends most of its time on optimising what runs once.
QUICK := XLA_FLAGS="--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
DEMO := demo
SITE := site
RUNTIME_VERSION := 1.30.0
MINI := runs/mini
VARIANTS := full all_to_all no_da no_pa no_pa_step1 single_head adain sanet adaattn
PICTURES = --config.content=$(CONTENT) --config.style=$(STYLE)

.PHONY: demo site train-mini ablations test parity faults outside check format manual notebooks clean

demo: $(VENV)/installed-demo
	$(RUN) train.py --config=configs/fine_tune.py --workdir=$(DEMO)/run
	$(RUN) -m stya2k_jax showcase --run=$(DEMO)/run --output=$(DEMO)

# A page for any static host. RUNTIME: a folder of the npm package onnxruntime-web, to copy it in.
site: $(VENV)/installed-onnx
	rm -rf $(SITE)
	$(RUN) -m stya2k_jax export --format=web --output=$(SITE) --runtime=$(RUNTIME)

# Needs VGG (a file), CONTENT and STYLE (folders), and a GPU or days. Goes on where it was stopped.
train-mini: $(if $(filter %.pth,$(VGG)),$(VENV)/installed-torch,$(VENV)/installed)
	$(RUN) convert_vgg.py --vgg=$(VGG) --output=$(MINI)/vgg
	$(RUN) train.py --config=configs/encoder_mini.py --workdir=$(MINI)/encoder \
		--config.encoder=$(MINI)/vgg $(PICTURES)
	$(RUN) train.py --config=configs/a2k_mini.py:painter --workdir=$(MINI)/painter \
		--config.encoder=$(MINI)/encoder --config.loss_encoder=$(MINI)/vgg $(PICTURES)
	$(RUN) train.py --config=configs/a2k_mini.py:finish --workdir=$(MINI)/finish \
		--config.encoder=$(MINI)/encoder --config.loss_encoder=$(MINI)/vgg \
		--config.initial=$(MINI)/painter $(PICTURES)
	$(RUN) train.py --config=configs/a2k_mini.py:mend --workdir=$(MINI)/mend \
		--config.encoder=$(MINI)/encoder --config.loss_encoder=$(MINI)/vgg \
		--config.initial=$(MINI)/finish $(PICTURES)
	$(RUN) -m stya2k_jax pack --checkpoint=$(MINI)/mend --output=$(MINI)/a2k_mini.safetensors

# Needs ENCODER (a finished run of configs/encoder_mini.py), CONTENT and STYLE. LOSS_ENCODER is the
# VGG-19 of convert_vgg.py, or surrogate:RUN, or by default ENCODER. Finished runs are skipped.
# Then: stya2k evaluate --table=2 --systems_dir=runs/ablations
ablations: $(VENV)/installed
	for variant in $(VARIANTS); do \
		$(RUN) train.py --config=configs/ablations.py:$$variant --workdir=runs/ablations/$$variant \
			--config.encoder=$(ENCODER) --config.loss_encoder=$(LOSS_ENCODER) $(PICTURES) || exit 1; \
	done

test: $(VENV)/installed-test
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(QUICK) $(PYTEST) -m "not parity and not faults and not browser and not export"

# The released code's numbers once more, with all of XLA's optimisations, and live PyTorch.
parity: $(VENV)/installed-torch
	$(PYTEST) -m "parity or golden"

# Kills, signals and lost processes, one after the other: half an hour. FAULTS=short runs a few.
faults: $(VENV)/installed-test
	STYA2K_FAULTS=$(FAULTS) $(RUN) -m pytest -q -m faults

# Exported programs, the wheel, notebooks, commands of the documentation, and the site and the pages of
# `stya2k demo` and `stya2k evaluate` in Debian's chromium (skipped where chromium or npm is missing).
outside: $(VENV)/installed-test $(VENV)/onnxruntime-web/package/package.json
	$(QUICK) $(PYTEST) -m "browser or export"

check: test parity

format: $(VENV)/installed-test
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

# Writes docs/cli.md from the flags of all commands; the tests compare.
manual: $(VENV)/installed
	$(RUN) -m stya2k_jax.commands.manual docs/cli.md

# Runs the notebooks of examples/ and keeps what they show.
notebooks: $(VENV)/installed-test
	$(RUN) -m tests.support.notebooks examples/*.ipynb

clean:
	rm -rf $(VENV) $(DEMO) $(SITE) build dist *.egg-info

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-demo: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/installed-onnx: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[onnx]'
	$(RUN) -m pip install --quiet --no-deps 'jax2onnx>=0.17.1'
	touch $@

# What the site's tests copy into it. Without npm there is none, and they are skipped.
$(VENV)/onnxruntime-web/package/package.json:
	mkdir -p $(VENV)/onnxruntime-web
	-npm pack --silent --pack-destination=$(VENV)/onnxruntime-web onnxruntime-web@$(RUNTIME_VERSION)
	-tar xzf $(VENV)/onnxruntime-web/onnxruntime-web-$(RUNTIME_VERSION).tgz --directory=$(VENV)/onnxruntime-web

$(VENV)/installed-test: $(VENV)/installed
	$(RUN) -m pip install --quiet --editable '.[test,evaluate,video,demo,heic,onnx]'
	$(RUN) -m pip install --quiet --no-deps 'jax2onnx>=0.17.1'
	touch $@

$(VENV)/installed-torch: $(VENV)/installed-test
	$(RUN) -m pip install --quiet --editable '.[test,evaluate,video,demo,heic,onnx,torch]'
	$(RUN) -m pip install --quiet --no-deps lpips==0.1.4 art-fid==0.0.2  # without torchvision
	touch $@
