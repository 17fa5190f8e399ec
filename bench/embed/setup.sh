#!/usr/bin/env bash
# Puts the Python that `make bench-embed` compares with into .native/bench-embed, once: 5 GB, as torch comes with its libraries for GPUs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$here/../../.native/bench-embed
if ! cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
	rm -rf "$target"
	python3 -m venv "$target"
	"$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$here/requirements.txt"
	# The same module with OpenVINO inside, in a folder of its own that part python puts first.
	if [ "$(uname -sm)" = "Linux x86_64" ]; then
		"$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes -r "$here/openvino.txt" --target "$target/openvino"
	fi
	cp "$here/requirements.txt" "$target/requirements.txt"
fi
