#!/usr/bin/env bash
# Builds the documentation site: build.sh OUT. Warnings, broken links among them, are errors.
# The generator is kept in the user's cache folder under the hash of its requirements; once it is there nothing is fetched.
set -euo pipefail

out=${1:?usage: build.sh OUT}
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/jobstrom
kept=$cache/site-$({ cat "$here/requirements.txt"; python3 -c 'import sysconfig; print(sysconfig.get_platform(), sysconfig.get_config_var("SOABI"))'; } | sha256sum | cut -c1-64)

if [ ! -d "$kept" ]; then
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'docs: Python 3.11 or newer is needed' >&2; exit 1; }
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
		--only-binary :all: --target "$work/site" -r "$here/requirements.txt" >&2
	mv -T "$work/site" "$kept" 2>/dev/null || [ -d "$kept" ] # another clone may have put the same there just now
fi
rm -rf "$out"
mkdir -p "$out"
PYTHONPATH=$kept PYTHONDONTWRITEBYTECODE=1 python3 -m sphinx -b html -q -W --keep-going -E -c "$here" -d "$out/.doctrees" "$root" "$out"
# Nothing is loaded from elsewhere, or the site would not work without it.
if grep -rnE '(src=|<link [^>]*href=|@import|url\()["'"'"' ]*(https?:)?//' --include '*.html' --include '*.css' "$out"; then
	echo 'docs: these load something from elsewhere' >&2
	exit 1
fi
rm -rf "$out/.doctrees" "$out/.buildinfo" "$out/objects.inv"
