#!/usr/bin/env bash
# Publishes vacancies, a line of JSON each. They have no key here; with one, as -K '\t' reads it, equal keys go to equal partitions.
set -euo pipefail
exec kcat -P -b "${BROKERS:-127.0.0.1:9092}" -t vacancies.raw -X enable.idempotence=true -X partitioner=murmur2_random
