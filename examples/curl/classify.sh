#!/usr/bin/env bash
# Classifies a vacancy from standard input, a JSON object.
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
exec curl -sS --fail-with-body ${TOKEN:+--oauth2-bearer "$TOKEN"} -H 'Content-Type: application/json' --data-binary @- "$url/v1/classify"
