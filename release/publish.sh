#!/usr/bin/env bash
# Builds what the tag of this commit names and publishes it as a draft: publish.sh [ARGUMENT OF GORELEASER...]; --skip=publish keeps it in var/dist.
set -euo pipefail

cd "$(dirname "$0")/.."
tag=$(git describe --tags --exact-match)
mkdir -p var
go run ./release notes "$tag" >var/release-notes.md # an error when CHANGELOG.md does not know this version
native/setup.sh image
export PWD CGO_LDFLAGS=-L$PWD/.native/lib
go build -trimpath -o bin/jobstrom . && JOBSTROM_NATIVE=$PWD/.native bin/jobstrom convert # the encoder, which stage.sh packs: here nothing was built before
go run github.com/goreleaser/goreleaser/v2@v2.16.0 release --clean --release-notes var/release-notes.md "$@"
go run ./release check -version "${tag#v}" var/dist
