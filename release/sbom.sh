#!/usr/bin/env bash
# Writes the SBOM of a program: sbom.sh PROGRAM OUT. The Go modules come from the program itself, the native parts from native/, both with their licences.
set -euo pipefail

program=$(realpath "$1") out=$(realpath -m "$2")
cd "$(dirname "$0")/.."
cyclonedx=$(type -P cyclonedx-gomod || true)
if [ -z "$cyclonedx" ]; then
	tools=${XDG_CACHE_HOME:-$HOME/.cache}/jobstrom/cyclonedx-gomod-1.10.0
	cyclonedx=$tools/cyclonedx-gomod
	[ -x "$cyclonedx" ] || GOBIN=$tools GOFLAGS= go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
fi
# Asked for a module without a version, as the program's own is, it leaves out the licences of those that it asks for in the same go.
version=$("$program" version) && version=${version#jobstrom } && version=${version%% *}
"$cyclonedx" bin -json -version "v${version#v}" -licenses -noserial -output "$out" "$program"
# shellcheck source=../native/tokenizers.sh
. native/tokenizers.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tokenizers_source . "$work/tokenizers"
(cd "$work/tokenizers" && cargo metadata --locked --quiet --format-version 1) >"$work/crates.json"
go run ./release sbom -into "$out" -crates "$work/crates.json" -time "$(git log -1 --format=%ct)"
