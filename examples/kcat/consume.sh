#!/usr/bin/env bash
# Prints classified vacancies, a line of JSON each, from the first one on.
set -euo pipefail
exec kcat -C -b "${BROKERS:-127.0.0.1:9092}" -t vacancies.classified -X isolation.level=read_committed -o beginning -u -q
