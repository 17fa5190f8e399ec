#!/usr/bin/env bash
# Keeps the records of a release: chaos/records/make.sh COMMIT VERSION writes schemas/testdata/records-VERSION with the source of that commit, to which it adds this program.
# Run it once when a release is made; a file that is there is what that release wrote, and is not made again.
set -euo pipefail
cd "$(dirname "$0")/../.."
commit=${1:?chaos/records/make.sh COMMIT VERSION} version=${2:?chaos/records/make.sh COMMIT VERSION}
out=$PWD/schemas/testdata/records-$version
source=$(mktemp -d)
trap 'rm -rf "$source"' EXIT
git archive "$commit" | tar -x -C "$source"
mkdir -p "$source/chaos/records" "$source/schemas/schematest"
cp chaos/records/main.go "$source/chaos/records/"
cp schemas/schematest/schematest.go schemas/schematest/breaking.go "$source/schemas/schematest/"
export CGO_LDFLAGS=-L$PWD/.native/lib
cd "$source"
go run -trimpath ./chaos/records -out "$out" -version "$version"
