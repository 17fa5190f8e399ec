#!/usr/bin/env bash
# Puts the Python of gliner2 and gliner2-onnx into .native/bench-extract, once: 5 GB, as torch comes with its libraries for GPUs; make test-peers uses it, too. With the word
# model, also a random model of full size (3 GB) for make bench-extract.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
native=$here/../../.native
target=$native/bench-extract
gliner=$here/../../pipeline/extract/gliner2
from=$(cat "$gliner/export/requirements.txt" "$gliner/testdata/requirements.txt" | sha256sum)
if [ "$(cat "$target/from" 2>/dev/null)" != "$from" ]; then
	rm -rf "$target"
	python3 -m venv "$target"
	"$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$gliner/testdata/requirements.txt"
	echo "$from" >"$target/from"
fi
if [ "${1:-}" = model ]; then
	tokenizer=$native/encoders/e5-small-int8/tokenizer.json
	from=$(cat "$target/from" "$here/make_model.py" "$gliner/export/export_gliner2.py" "$gliner/testdata/make_goldens.py" "$tokenizer" | sha256sum)
	if [ "$(cat "$target/model/from" 2>/dev/null)" != "$from" ]; then
		"$target/bin/python" -W ignore "$here/make_model.py" --tokenizer "$tokenizer" --dir "$target"
		echo "$from" >"$target/model/from"
	fi
fi
