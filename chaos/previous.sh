#!/usr/bin/env bash
# Builds jobstrom and the chaos program of an earlier commit into bin/previous/COMMIT, from this checkout's history and with its native parts, and prints that folder.
# Where the history lacks the commit (a shallow clone) it says so, on stderr, and ends with status 3: nothing is fetched.
set -euo pipefail
cd "$(dirname "$0")/.."
ref=${1:?chaos/previous.sh COMMIT}
if ! commit=$(git rev-parse --verify --quiet "$ref^{commit}"); then
	echo "commit $ref is not in this checkout's history: fetch it (git fetch --unshallow, or git fetch origin $ref), or name a folder that holds jobstrom and chaos of that release with PREVIOUS=" >&2
	exit 3
fi
out=$PWD/bin/previous/$commit
if [ ! -e "$out/complete" ]; then
	version=$(git describe --tags --always "$commit")
	source=$(mktemp -d)
	trap 'rm -rf "$source"' EXIT
	mkdir -p "$out"
	git archive "$commit" | tar -x -C "$source"
	export CGO_LDFLAGS=-L$PWD/.native/lib
	cd "$source"
	go build -trimpath -ldflags "-X jobstrom/cli.version=$version" -o "$out/jobstrom" . >&2
	go build -trimpath -o "$out/chaos" ./chaos/run >&2
	touch "$out/complete"
fi
echo "$out"
