#!/usr/bin/env bash
# Writes the SBOM of a program: sbom.sh PROGRAM OUT. The Go modules come from the program itself, with their licences, the native parts from native/.
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
go run ./release sbom -into "$out" -time "$(git log -1 --format=%ct)"
