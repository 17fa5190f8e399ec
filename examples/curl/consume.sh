#!/usr/bin/env bash
# Prints what is classified or refused from now on, a line of JSON each.
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
curl -sS --no-buffer --fail-with-body ${TOKEN:+--oauth2-bearer "$TOKEN"} "$url/v1/events" | sed -un 's/^data: //p'
