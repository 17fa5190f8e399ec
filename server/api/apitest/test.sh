#!/usr/bin/env bash
# Asks the API of a flow in memory whatever its description allows and forbids: make test-api. CASES per operation make 10,000 cases in all.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../../..
target=$root/.native/schemathesis
if ! cmp -s "$here/requirements.txt" "$target/requirements.txt"; then
	rm -rf "$target"
	python3 -m venv "$target"
	"$target/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$target/requirements.txt"
fi
go build -o "$root/bin/api-serve" ./server/api/apitest/serve
coproc server { exec "$root/bin/api-serve" -for 3h; }
trap 'kill "$server_PID" 2>/dev/null || true' EXIT
read -r address token <&"${server[0]}"
cd "$here"
"$target/bin/st" run "$address/openapi.json" --header "Authorization: Bearer $token" --max-examples "${CASES:-500}" --seed "${SEED:-1}" --no-color "$@"
