# jobstrom: make demo runs the whole flow, make test sets up and tests everything. See README.md.
SHELL := bash
export CGO_LDFLAGS := -L$(CURDIR)/.native/lib
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help demo up kafka test test-peers test-api lint openvino bench bench-embed bench-extract bench-stream bench-train bench-drift load chaos test-upgrade soak-flow fuzz soak build setup setup-test doctor docs docs-check release-check test-helm helm-files generate classifier clean

help: ## Say what the targets do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

demo: build ## Start everything here, classify the sample vacancies, stay up (ONCE=1: end after the summary)
	bin/jobstrom demo $(if $(ONCE),--once)

up: build ## Start everything here and wait for vacancies
	bin/jobstrom up

kafka: setup-test ## Start Apache Kafka here until Ctrl-C (BROKERS=3: three brokers)
	@go run ./cluster/start -brokers $(or $(BROKERS),1)

setup: ## Fetch, verify and build the native parts
	@native/setup.sh

setup-test:
	@native/setup.sh test

openvino: ## Fetch ONNX Runtime with OpenVINO and convert the encoder for it: --provider openvino, on x86-64 Linux
	@native/setup.sh openvino
	go build -trimpath -ldflags '-X jobstrom/cli.version=$(VERSION)' -o bin/jobstrom .
	@bin/jobstrom convert --graph static

build: setup ## Build bin/jobstrom and convert the encoder
	go build -trimpath -ldflags '-X jobstrom/cli.version=$(VERSION)' -o bin/jobstrom .
	@bin/jobstrom convert

test: setup-test build ## Run every test, with the race detector and a coverage figure
	go vet ./...
	go test -race -timeout 75m -coverprofile=coverage.out ./...
	@go tool cover -func=coverage.out | tail -1
	@type -P chromium >/dev/null || type -P google-chrome >/dev/null || echo 'SKIPPED: the web pages in a browser; install chromium (apt-get install chromium)'
	@test -e .native/prometheus || type -P promtool >/dev/null || echo 'SKIPPED: dashboards and alerts on Prometheus; the set-up above says what is missing'
	@test -e .native/kafka || echo 'SKIPPED: everything on Apache Kafka; the set-up above says what is missing'

test-peers: openvino ## Compare with scikit-learn, statsmodels, Evidently, MLflow and gliner2 from PyPI: goldens made again, a run logged to a real server, a checkpoint exported
	@test "$$(cat .native/peers/from 2>/dev/null)" = "$$(sha256sum <native/peers.txt)" || { rm -rf .native/peers && python3 -m venv .native/peers \
		&& .native/peers/bin/pip install --quiet --disable-pip-version-check -r native/peers.txt && sha256sum <native/peers.txt >.native/peers/from; }
	cd trainer/testdata && ../../.native/peers/bin/python make_metrics.py
	cd models/testdata && ../../.native/peers/bin/python make_compressed.py
	cd producers/testdata && ../../.native/peers/bin/python make_history.py
	cd drift/stats/testdata && ../../../.native/peers/bin/python make_goldens.py
	cd drift/testdata && ../../.native/peers/bin/python make_components.py && ../../.native/peers/bin/python make_report.py
	git diff --exit-code --stat -- trainer/testdata models/testdata producers/testdata drift/stats/testdata drift/testdata
	go test -count 1 -tags peers ./mlflow ./trainer ./models ./drift/stats
	go test -count 1 -tags peers -run 'OpenVINO' ./pipeline/embed
	bench/extract/setup.sh
	cd pipeline/extract/gliner2/testdata && ../../../../.native/bench-extract/bin/python -W ignore make_goldens.py --check
	go test -count 1 -tags peers ./pipeline/extract/gliner2/export
	go test -count 1 -tags peers -run 'ExportGLiNER2' ./cli

test-api: setup ## Ask the API what its description allows and forbids: 10,000 cases of schemathesis (CASES= of each operation, SEED=)
	server/api/apitest/test.sh

test-helm: ## Test the Helm chart: lint, render, compare with Kubernetes' types (-rewrite: go test . -rewrite in deploy/helm)
	cd deploy/helm && go test -count 1 ./...

helm-files: ## Copy dashboards and rules into the Helm chart
	rm -rf deploy/helm/jobstrom/files/grafana deploy/helm/jobstrom/files/prometheus
	mkdir -p deploy/helm/jobstrom/files/grafana deploy/helm/jobstrom/files/prometheus
	for f in deploy/grafana/*.json; do test ! -e $$f || cp $$f deploy/helm/jobstrom/files/grafana/; done
	for f in deploy/prometheus/*.rules.yaml; do test ! -e $$f || cp $$f deploy/helm/jobstrom/files/prometheus/; done

lint: setup ## gofmt, staticcheck, generated code, no data outside samples/
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these'; exit 1; }
	@.ci/data-files
	go tool staticcheck ./...
	cd schemas && go run ./generate -check
	cd telemetry && go run ./generate -check

bench: build ## Compare the stream with the physical limit: name, ratio, target, ok or short
	go run ./bench/embed -part stream

bench-embed: build ## Measure the encoder's way: against a bare loop, Python and torch; latency, memory, start (PART=stream, python, torch, latency, memory, start)
	$(if $(filter stream latency memory start,$(PART)),,bench/embed/setup.sh)
	go build -o bin/bench-embed ./bench/embed && bin/bench-embed $(if $(PART),-part $(PART))

bench-extract: build ## Compare GLiNER2 with gliner2-onnx and gliner2 in Python and with the ONNX sessions alone, on a random model of full size (PART=onnx, torch, bare; 8 GB of disk)
	bench/extract/setup.sh model
	go build -o bin/bench-extract ./bench/extract && bin/bench-extract $(if $(PART),-part $(PART))

bench-stream: setup-test ## Measure the stream without the models on Apache Kafka (PART=throughput, latency, scaling, memory, traces)
	go run ./bench/stream $(if $(PART),-part $(PART))

bench-train: build ## Compare the trainer with scikit-learn and with the reference recipe, in time, memory and quality (PART=speed, history, synthetic, samples, leave-one-out)
	@bench/train/setup.sh
	go build -o bin/bench-train ./bench/train && bin/bench-train $(if $(PART),-part $(PART))

bench-drift: build ## Measure drift: false alarms and power, speed beside Evidently, hourly counts (PART=alarms, embeddings, watch, speed, hours; hours takes 2 GB of disk)
	$(if $(filter speed hours,$(PART)),,go build -o bin/bench-drift ./bench/drift && bin/bench-drift $(if $(PART),-part $(PART)))
	$(if $(filter alarms embeddings watch hours,$(PART)),,bench/drift/speed/setup.sh && go build -o bin/bench-drift-speed ./bench/drift/speed && bin/bench-drift-speed)
	$(if $(filter alarms embeddings watch speed,$(PART)),,go build -o bin/bench-drift-hours ./bench/drift/hours && bin/bench-drift-hours)

load: build ## Measure the API under load: against a bare loop, FastAPI and torch, and beyond capacity (PART=bare, fastapi, torch, overload; fastapi and torch take 6 GB of disk)
	$(if $(filter bare overload,$(PART)),,bench/load/setup.sh)
	go build -o bin/bench-load ./bench/load && bin/bench-load $(if $(PART),-part $(PART))

chaos: setup-test build ## Kill processes while 100,000 vacancies stream, say what became of each (SHORT=1: 5 minutes, real encoder; UPGRADE=COMMIT: replace that release's processes one by one instead)
	go build -o bin/chaos ./chaos/run
	$(if $(UPGRADE),previous=$$(chaos/previous.sh $(UPGRADE)) && )bin/chaos $(if $(UPGRADE),--upgrade-from $$previous --stub-encoder --rate 30,$(if $(SHORT),--vacancies 1500 --rate 15 --kills 12,--stub-encoder)) $(if $(SEED),--seed $(SEED)) $(if $(GLINER2),--gliner2 $(GLINER2))

# The release before, for test-upgrade: its commit, or by PREVIOUS= a folder with its jobstrom and chaos.
RELEASED := 548927f

test-upgrade: setup-test build ## Replace the processes of the release before by this one's, one by one under load, and back: nothing is lost, doubled or reordered (PREVIOUS=FOLDER)
	go build -o bin/chaos ./chaos/run
	@if previous=$(if $(PREVIOUS),$(PREVIOUS),$$(chaos/previous.sh $(RELEASED))); then echo "from $$previous"; bin/chaos --upgrade-from "$$previous" --stub-encoder --rate 20; \
	else status=$$?; [ $$status = 3 ] && echo 'SKIPPED: the upgrade from the release before; see above for what to do' >&2 || exit $$status; fi

soak-flow: setup-test build ## Restart every part of the flow in turn, brokers and ClickHouse included, and see that memory and lag stay flat (MINUTES=30, RATE=20)
	go build -o bin/chaos ./chaos/run
	bin/chaos --soak $(or $(MINUTES),30)m --stub-encoder --rate $(or $(RATE),20) --plot soak.png

fuzz: setup ## Write 1,000,000 fuzzed and malformed records, see that each is classified or a dead letter (RECORDS=, SEED=)
	JOBSTROM_FUZZ=$(or $(RECORDS),1000000) JOBSTROM_FUZZ_SEED=$(or $(SEED),1) go test ./consumers -run 'TestFuzzedRecords' -v -count 1 -timeout 60m

soak: setup ## Ask the API 1,000,000 times, see that heap and goroutines do not grow (REQUESTS=)
	JOBSTROM_SOAK=$(or $(REQUESTS),1000000) go test ./server/api -run 'TestSoak' -v -count 1 -timeout 120m

doctor: build ## Check libraries, model, broker, ClickHouse and settings
	bin/jobstrom check

docs: ## Build the documentation site into var/site
	@docs/site/build.sh var/site
	@echo 'the documentation: file://$(CURDIR)/var/site/index.html'

docs-check: ## Build the documentation site, see that nothing in it is broken, and forget it
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && docs/site/build.sh "$$out/site"

release-check: build ## Build what a release would hold into var/release, with checksums and SBOM, and check it
	release/rehearse.sh

generate: build ## Make generated code and the reference in docs/reference again
	go generate ./schemas ./telemetry
	bin/jobstrom reference docs/reference

clean: ## Remove what was built, not what was fetched
	rm -rf bin var coverage.out
