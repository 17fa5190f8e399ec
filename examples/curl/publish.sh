#!/usr/bin/env bash
# Publishes vacancies, a line of JSON each, over HTTP. Each answer has the vacancy's id; GET /v1/vacancies/ID says what became of it.
set -euo pipefail
url=${URL:-http://127.0.0.1:8080}
while IFS= read -r vacancy; do
	curl -sS --fail-with-body ${TOKEN:+--oauth2-bearer "$TOKEN"} -H 'Content-Type: application/json' --data-binary @- "$url/v1/vacancies" <<<"$vacancy"
done
