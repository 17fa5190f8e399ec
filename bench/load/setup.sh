#!/usr/bin/env bash
# Puts the servers that `make load` compares with into .native/bench-load, once: FastAPI and uvicorn, beside the Python of bench/embed, which is 6 GB with torch.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$here/../../.native/bench-load
"$here/../embed/setup.sh"
if ! cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
	rm -rf "$target"
	"$here/../../.native/bench-embed/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --no-deps --require-hashes -r "$here/requirements.txt" --target "$target"
	cp "$here/requirements.txt" "$target/requirements.txt"
fi
