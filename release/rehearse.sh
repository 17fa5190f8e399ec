#!/usr/bin/env bash
# Does what can be done of a release without publishing it: builds the archive, its checksums and SBOM into var/release, and checks them.
# The flags are those of .goreleaser.yaml, which a test compares.
set -euo pipefail

cd "$(dirname "$0")/.."
version=${1:-0.0.0-rehearsal}
name=jobstrom_${version}_linux_amd64
out=$PWD/var/release
rm -rf "$out"
mkdir -p "$out"
release/stage.sh "$out/$name"
CGO_ENABLED=1 GOOS=linux GOARCH=amd64 CGO_LDFLAGS=${CGO_LDFLAGS:--L$PWD/.native/lib} \
	go build -trimpath -ldflags "-s -w -X jobstrom/cli.version=$version" -o "$out/$name/jobstrom" .
# Where it was built must not show, or another's build would differ.
if grep -qF "$PWD" "$out/$name/jobstrom"; then
	echo "release: the program names the folder it was built in, $PWD" >&2
	exit 1
fi
said=$("$out/$name/jobstrom" version)
[[ $said == "jobstrom $version ("* ]] || { echo "release: the program says it is $said" >&2; exit 1; }
release/sbom.sh "$out/$name/jobstrom" "$out/$name.cdx.json"
tar --sort=name --owner=root:0 --group=root:0 --mtime="@$(git log -1 --format=%ct)" -C "$out" -c "$name" | gzip -n >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" "$name.cdx.json" >"jobstrom_${version}_SHA256SUMS")
go run ./release check -version "$version" "$out"
rm -rf "${out:?}/$name"
echo "the release would be: $out"
