# Every target makes its own virtual environment, so that `make test` works on a bare machine with Python 3.11 or
# newer. Settings: PYTHON (the Python to start from), VENV (where the environment goes), MXNET_VENV (where that of MXNet
# goes, which needs an old NumPy), NOTEBOOKS_VENV (where that of the SageMaker SDK goes), PHOTOS (a folder of photos to
# work on beside MXNet, or for the notebooks), SMALL_IMAGES (a .rec of images of 32x32 pixels, likewise), BENCH_SOURCE
# (images to load), FUZZ_SECONDS (for each target) and FUZZ_TARGETS (all by default).

PYTHON ?= python3
VENV ?= .venv
MXNET_VENV ?= .venv-mxnet
NOTEBOOKS_VENV ?= .venv-notebooks
BENCH_SOURCE ?= demo/train.rec
PHOTOS ?= photos
SMALL_IMAGES ?=
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help demo test test-mxnet test-notebooks test-container lint bench bench-loader bench-packing fuzz clean

help:
	@echo "make demo    make a small data set, train on it, measure the model, predict an image (under 3 minutes)"
	@echo "make test    run the tests"
	@echo "make test-mxnet   let MXNet 1.9.1 run what imclass writes (Linux on x86-64, Python 3.8 to 3.11)"
	@echo "make test-notebooks [PHOTOS=photos]   make the calls of SageMaker's sample notebooks (20 minutes)"
	@echo "make test-container   take the steps of the Dockerfile in a clean virtual environment, train and serve there"
	@echo "make lint    check style, types and the direction of imports"
	@echo "make bench [PHOTOS=photos]   time training, loading and inference on the CPU beside MXNet 1.9.1 (10 minutes)"
	@echo "make bench-loader   time reading, decoding and augmenting; BENCH_SOURCE=photos times your own images"
	@echo "make bench-packing PHOTOS=photos   time packing and reading RecordIO beside MXNet 1.9.1"
	@echo "make fuzz    feed the readers damaged files, FUZZ_SECONDS for each of FUZZ_TARGETS"
	@echo "make clean   remove what the other targets made, except virtual environments"

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(INSTALLED)
	$(BIN)/python examples/digits.py demo

test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

$(MXNET_VENV)/.installed:
	$(PYTHON) -m venv $(MXNET_VENV)
	$(MXNET_VENV)/bin/python -m pip install --quiet mxnet==1.9.1 numpy==1.23.5
	touch $@

test-mxnet: $(INSTALLED) $(MXNET_VENV)/.installed
	IMCLASS_MXNET_PYTHON=$(MXNET_VENV)/bin/python $(BIN)/python -m pytest tests/artifact/test_with_mxnet.py

$(NOTEBOOKS_VENV)/.installed: tests/notebooks/requirements.txt
	$(PYTHON) -m venv $(NOTEBOOKS_VENV)
	$(NOTEBOOKS_VENV)/bin/python -m pip install --quiet --requirement tests/notebooks/requirements.txt
	touch $@

test-notebooks: $(INSTALLED) $(NOTEBOOKS_VENV)/.installed
	IMCLASS_NOTEBOOKS_PYTHON=$(abspath $(NOTEBOOKS_VENV))/bin/python \
		$(if $(wildcard $(PHOTOS)),IMCLASS_NOTEBOOKS_PHOTOS=$(abspath $(PHOTOS))) \
		OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/notebooks

test-container: $(INSTALLED)
	IMCLASS_TEST_INSTALL=1 $(BIN)/python -m pytest tests/sagemaker/test_image.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

demo/train.rec: $(INSTALLED)
	$(BIN)/python examples/digits.py demo --data-only

bench: $(INSTALLED) $(MXNET_VENV)/.installed
	$(BIN)/python bench/cpu.py --mxnet-python $(MXNET_VENV)/bin/python $(if $(wildcard $(PHOTOS)),--photos $(PHOTOS)) \
		$(if $(SMALL_IMAGES),--small-images $(SMALL_IMAGES)) --json bench/results/cpu.json

bench-loader: $(INSTALLED) $(BENCH_SOURCE)
	$(BIN)/python bench/loader.py $(BENCH_SOURCE)

# OpenCV 4.11 is the last that works with MXNet's NumPy; the wheels of 4.8 decode JPEG at half its speed.
bench-packing: $(INSTALLED) $(MXNET_VENV)/.installed
	$(MXNET_VENV)/bin/python -m pip install --quiet numpy==1.23.5 opencv-python-headless==4.11.0.86
	$(BIN)/python bench/packing.py $(PHOTOS) --mxnet-python $(MXNET_VENV)/bin/python

fuzz: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz.fuzz $(FUZZ_TARGETS) --seconds $(FUZZ_SECONDS)

clean:
	rm -rf demo build dist src/imclass.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests bench examples -name __pycache__ -type d -prune -exec rm -rf {} +
