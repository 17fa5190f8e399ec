#!/usr/bin/env bash
# Puts the Evidently that bench/drift/speed compares with into .native/evidently, once.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$here/../../../.native/evidently
if ! cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
	rm -rf "$target"
	python3 -m venv "$target"
	"$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$target/requirements.txt"
fi
