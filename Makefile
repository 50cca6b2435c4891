# The steps of a newcomer and of CI alike. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RESULTS ?= build/results.jsonl
WORKERS ?= 2 # processes that test
PEER := build/llama.cpp
PEER_VERSION := 0.3.36
PEER_FLAGS ?= # such as -DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON
NATIVE := CMakeLists.txt pyproject.toml $(shell find native -type f)

.PHONY: help chat test test-slow test-web web test-arm oracles check format stubs sizes model clients bench bench-peer peer wheel clean

help:
	@echo "make chat        build Gadfly, fetch the small default model once and talk to it"
	@echo "make test        everything CI runs: style, types, layers, tests"
	@echo "make test-slow   what takes longer;  make test-arm  kernels for 64-bit ARM, under an emulator"
	@echo "make oracles     torch and transformers, which some tests compare with;  without them they are skipped"
	@echo "make web         build the page of the chat app, which is committed;  make test-web  its tests"
	@echo "make check       style, types and layers only;  make format  mends the style"
	@echo "make bench       how fast it is here;  make bench-peer  the same beside llama.cpp, which  make peer  builds"
	@echo "make clients     programs of others against our server, for docs/clients.md; fetches a gigabyte of them once"
	@echo "make wheel       what others install without a compiler, in dist/"
	@echo "make sizes       how long files are and what occurs twice, for the eye"
	@echo "make clean       remove what was built"

chat: $(VENV)/gadfly
	@$(BIN)/gadfly chat

model: $(VENV)/gadfly
	@$(BIN)/gadfly pull smollm2

# The page's tests mostly wait for a browser, so they run beside the others; their report comes last.
test: check $(VENV)/dev model
	@mkdir -p build; \
	$(MAKE) --no-print-directory test-web > build/test-web.log 2>&1 & page=$$!; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not slow"; failed=$$?; \
	wait $$page || failed=1; cat build/test-web.log; exit $$failed

test-slow: $(VENV)/dev model
	$(BIN)/python -m pytest -m slow
	GADFLY_SLOW=1 $(MAKE) --no-print-directory test-web

# The page of the chat app is built and committed, so that only who changes it needs Node.
web: web/node_modules/.package-lock.json
	cd web && npm run --silent build

# Debian has these in npm and chromium.
test-web: $(VENV)/gadfly model
	@for tool in npm chromium; do \
		command -v $$tool > /dev/null || { echo "Skipped: there is no $$tool on this machine."; exit 0; }; \
	done; \
	$(MAKE) --no-print-directory web/node_modules/.package-lock.json && \
	cd web && npm run --silent check && npm run --silent test && npm run --silent test:browser && npm run --silent test:real

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --silent
	@touch $@

# Debian has these in cmake, g++-aarch64-linux-gnu and qemu-user-static.
test-arm:
	@for tool in cmake aarch64-linux-gnu-g++ qemu-aarch64-static; do \
		command -v $$tool > /dev/null || { echo "Skipped: there is no $$tool on this machine."; exit 0; }; \
	done; \
	cmake -S . -B build/arm -DCMAKE_TOOLCHAIN_FILE=native/tests/aarch64.cmake -DGADFLY_PYTHON=OFF -DGADFLY_TESTS=ON && \
	cmake --build build/arm --parallel $$(nproc) && \
	cd build/arm && ctest --verbose

oracles: $(VENV)/oracles

check: $(VENV)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/clang-format --dry-run --Werror $(shell find native -name '*.h' -o -name '*.cpp')
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(shell find native -name '*.h' -o -name '*.cpp')

stubs: $(VENV)/dev
	$(BIN)/python -m nanobind.stubgen -m gadfly._native -o src/gadfly/_native.pyi
	$(BIN)/ruff format src/gadfly/_native.pyi

sizes:
	@$(PYTHON) .ci/sizes.py

clients: $(VENV)/dev model
	$(BIN)/python tests/clients/matrix.py

# Results are appended to $(RESULTS), which the plot is drawn from. Neither is committed unasked.
bench: $(VENV)/gadfly model
	$(BIN)/gadfly bench smollm2
	$(BIN)/python benchmarks/step.py smollm2 --results $(RESULTS)
	$(BIN)/python benchmarks/exactness.py --results $(RESULTS)
	$(BIN)/python benchmarks/startup.py --results $(RESULTS)

bench-peer: $(VENV)/peer $(PEER)/built $(PEER)/mixture.gguf model
	$(BIN)/gadfly bench smollm2 --against llama.cpp
	$(BIN)/python benchmarks/startup.py --peer --results $(RESULTS)
	$(BIN)/python benchmarks/speed.py $(PEER)/mixture.gguf --peer --threads 1,2 --prompt 256 --answer 24 --results $(RESULTS)
	$(BIN)/python benchmarks/plot.py $(RESULTS) --out $(basename $(RESULTS)).svg

peer: $(PEER)/built

# The wheel is built from the source distribution, which is thereby known to build.
wheel: $(VENV)/release
	rm -rf build/dist && mkdir -p dist
	$(BIN)/python -m build --outdir build/dist
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/dist/*.whl
	mv build/dist/*.tar.gz dist/

clean:
	rm -rf $(VENV) build dist

# Marker files say what is installed in the environment, so that a second `make chat` starts at once.
$(VENV)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@touch $@

$(VENV)/gadfly: $(VENV)/python $(NATIVE)
	@echo "Building Gadfly (a minute or two, once) ..."
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/dev: $(VENV)/gadfly
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

$(VENV)/oracles: $(VENV)/python
	$(BIN)/python -m pip install --quiet --group oracles
	@touch $@

$(VENV)/release: $(VENV)/python
	$(BIN)/python -m pip install --quiet --group release
	@touch $@

$(VENV)/peer: $(VENV)/gadfly
	$(BIN)/python -m pip install --quiet --editable ".[bench]"
	@touch $@

# llama.cpp's own programs, out of the source package of llama-cpp-python, so that both are of one version.
$(PEER)/built: $(VENV)/python
	mkdir -p $(PEER)
	cd $(PEER) && $(CURDIR)/$(BIN)/python -m pip download --quiet --no-deps --no-binary llama-cpp-python "llama-cpp-python==$(PEER_VERSION)"
	tar -xzf $(PEER)/llama_cpp_python-$(PEER_VERSION).tar.gz -C $(PEER)
	cmake -S $(PEER)/llama_cpp_python-$(PEER_VERSION)/vendor/llama.cpp -B $(PEER) -DCMAKE_BUILD_TYPE=Release \
		-DBUILD_SHARED_LIBS=ON -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF \
		-DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_UI=OFF $(PEER_FLAGS)
	cmake --build $(PEER) --parallel $$(nproc) --target llama-bench llama-batched-bench llama-completion llama-server
	@touch $@

$(PEER)/mixture.gguf: | $(VENV)/gadfly
	mkdir -p $(PEER)
	$(BIN)/python benchmarks/models.py grok $@ q4_0
