# Thin front of scripts/*.py, which do the same on Windows and macOS without make.
#
#   make demo                                     the example person in the example garment
#   make demo CATEGORY=dresses                    the same for lower_body or dresses
#   make demo GARMENT=shirt.png SEED=7            another garment
#   make demo PERSON=me.jpg GARMENT=shirt.jpg     a photo of your own; its result has the photo's size
#   make demo PERSON=me.png KEYPOINTS=me.json PARSE=me_labels.png CATEGORY=upper_body
#   make test                                     every test, in a real ComfyUI
#   make test-newest COMFYUI_PATH=/newer/ComfyUI  what touches the host, on a newer ComfyUI, in an environment of its own
#   make fuzz                                     10,000 malformed inputs a reader, 20 kills a writer (hours)
#   make soak                                     500 queued prompts: memory flat, first and last picture identical; then
#                                                 what is marked soak: killed Ray workers, large models, training
#   make bench                                    peaks, seconds, ratios and memory, against benchmarks/ratios.json
#   make bench FULL=1                             the same at the published sizes (8.4 GB of disk, 20 GB of memory)
#   make gpu-check                                everything that needs a GPU, in eight minutes; REHEARSE=1: on the CPU
#   make lint                                     ruff's check and format, pinned
#   make serve                                    ComfyUI with the pack, to open in a browser
#   make train-embedded MINUTES=30                the shipped weights better, in 30 minutes; goes on where it was stopped
#
# COMFYUI_PATH=/path/to/ComfyUI uses that one; otherwise one is installed into .host (once).

PYTHON ?= python3
option = $(if $($(1)),--$(2) "$($(1))")

.PHONY: demo test test-newest fuzz soak bench gpu-check lint serve train-embedded
demo:
	@$(PYTHON) scripts/demo.py $(call option,PERSON,person) $(call option,GARMENT,garment) \
		$(call option,KEYPOINTS,keypoints) $(call option,PARSE,parse) \
		$(call option,CATEGORY,category) $(call option,SEED,seed)

test:
	@$(PYTHON) scripts/test.py $(TESTS)

test-newest:
	@$(PYTHON) scripts/test.py --newest $(TESTS)

fuzz:
	@LADIVTON_FUZZ=1 $(PYTHON) scripts/test.py tests/robustness

soak:
	@$(PYTHON) scripts/soak.py $(call option,PROMPTS,prompts)
	@$(PYTHON) scripts/test.py -m soak

gpu-check:
	@$(PYTHON) scripts/gpu_check.py $(if $(REHEARSE),--rehearse) $(call option,TO,to) $(CHECK)

bench:
	@$(PYTHON) benchmarks/bench.py $(if $(FULL),--full) $(call option,DEVICE,device) $(BENCH)

lint:
	@$(PYTHON) scripts/lint.py

serve:
	@$(PYTHON) scripts/host.py serve

train-embedded:
	@$(PYTHON) scripts/host.py run -m drawn_world.training all --out "$(or $(RUNS),runs/embedded)" \
		--minutes "$(or $(MINUTES),30)" --to "$(or $(TO),ladivton_core/embedded)" \
		$(call option,DEVICE,device) $(call option,INIT,init) $(TRAINING)
