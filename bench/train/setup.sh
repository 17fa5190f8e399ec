#!/usr/bin/env bash
# Puts the scikit-learn that `make bench-train` compares with into .native/scikit-learn, once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$here/../../.native/scikit-learn
if ! cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
	rm -rf "$target"
	python3 -m venv "$target"
	"$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$target/requirements.txt"
fi
