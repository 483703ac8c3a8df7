# Two commands do everything on a fresh machine with Python 3.10-3.13:
#   make demo   install, train both stages on generated videos, sample
#   make test   install, ruff, mypy, tests
# make benchmark prints what a step costs, on the GPU if there is one; with REFERENCE=checkout beside the original, in turn.
# make fuzz looks for files that break their reading, for MINUTES, from a SEED that it prints.
# make docs builds the documentation into build/site; make notebooks runs its notebooks again.
# make gpu measures on a GPU, within minutes, what the documentation claims; it needs no installation. See docs/gpu.md.
PYTHON ?= python3
BIN := .venv/bin
RUN := runs/demo-$(shell date +%Y%m%d-%H%M%S)
AUTOENCODER := $(RUN)/autoencoder/latest
DENOISER := $(RUN)/latent_diffusion/latest

.PHONY: install demo test fuzz benchmark gpu gpu-wheels docs notebooks format clean

install: .venv/installed

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; (3, 10) <= sys.version_info < (3, 14) or sys.exit("Python 3.10-3.13 is needed, this is " + sys.version.split()[0] + "; name another with: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --editable ".[dev]"
	touch $@

GPU := $(shell nvidia-smi -L > /dev/null 2>&1 && echo --device cuda --precision bf16-mixed)
# Small networks keep two cores busier as two processes than as two threads; a batch is split between them.
TWO := $(if $(GPU),,--trainer.accelerator cpu --trainer.devices 2 --trainer.strategy ddp)
HALF_OF = $(if $(GPU),,--data.batch_size $(1))
WRITE := --output.fps 8 --output.least_side 128
# A slow processor takes fewer steps, so that the demo ends within ten minutes there, too.
MINUTES_ONE := 2.5
MINUTES_TWO := 4
FAST := --sampling.sampler dpm_solver --sampling.num_inference_steps 20 --sampling.guidance_scale_label 1.5

demo: install
	$(BIN)/pvdm fit $(TWO) --config demo_ae.yaml $(call HALF_OF,2) --budget.minutes $(MINUTES_ONE) --trainer.default_root_dir $(RUN) --run_name autoencoder
	$(BIN)/pvdm encode $(TWO) --ckpt_path $(AUTOENCODER) --output.dir $(RUN)/latents --output.known_frames [first:4]
	$(BIN)/pvdm fit $(TWO) --config demo_ldm.yaml --config model/ldm_conditions.yaml --config data/cached_latents.yaml --data.root $(RUN)/latents $(call HALF_OF,16) --budget.minutes $(MINUTES_TWO) --trainer.default_root_dir $(RUN) --run_name latent_diffusion --model.autoencoder_checkpoint $(AUTOENCODER)
	$(BIN)/pvdm predict --ckpt_path $(AUTOENCODER) --sampling.num_videos 4 --output.dir $(RUN)/reconstructions --output.formats [gif,png] $(WRITE)
	$(BIN)/pvdm predict --ckpt_path $(DENOISER) --sampling.num_videos 8 --sampling.batch_size 8 $(FAST) --output.dir $(RUN)/samples --output.formats [mp4,gif] $(WRITE)
	$(BIN)/pvdm predict --ckpt_path $(DENOISER) --sampling.num_videos 1 --sampling.num_frames 64 $(FAST) --output.dir $(RUN)/long --output.formats [mp4,gif] $(WRITE)
	$(BIN)/python -m benchmarks showcase $(DENOISER) --out $(RUN)/pictures
	@echo
	@echo "autoencoder checkpoint       $(AUTOENCODER)"
	@echo "latent diffusion checkpoint  $(DENOISER)"
	@echo "reconstructions              $(RUN)/reconstructions (left: original, right: reconstruction)"
	@echo "8 sampled clips              $(RUN)/samples (open index.html)"
	@echo "a video of 64 frames         $(RUN)/long"
	@echo "pictures                     $(RUN)/pictures (comparison.png: real clips, reconstructions, samples, a row a class; continuation.webp)"
	@echo "dashboard                    $(BIN)/tensorboard --logdir $(RUN)"
	@echo "quality                      $(BIN)/python -m benchmarks quality $(DENOISER)"

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

MINUTES ?= 10

fuzz: install
	$(BIN)/python tests/fuzz.py --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

benchmark: install
	$(BIN)/python -m benchmarks speed --stage two $(if $(GPU),$(GPU) --compile --batch-size 16)
	$(BIN)/python -m benchmarks speed --stage one --repeats 3 $(if $(GPU),$(GPU) --compile --batch-size 8,$(if $(REFERENCE),--depth 4))
	$(BIN)/python -m benchmarks memory
	$(BIN)/python -m benchmarks scaling

# With the packages of the machine where nothing is installed here; those it lacks are taken from the folder .wheels.
gpu:
	$(if $(wildcard .venv/installed),$(BIN)/python,$(PYTHON)) -m benchmarks gpu --minutes 8 --out gpu

# For a machine without network: Python 3.12 on x86-64 Linux, with PyTorch, Lightning and torchmetrics installed.
gpu-wheels:
	$(PYTHON) -m pip download --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--dest .wheels jsonargparse docstring-parser typeshed-client lpips av

docs: install
	$(BIN)/mkdocs build --strict

# Runs the notebooks of the documentation again, in a folder of their own; minutes.
notebooks: install
	$(BIN)/python docs/run_notebooks.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache build dist
