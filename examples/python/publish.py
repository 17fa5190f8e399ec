"""Publishes vacancies, a line of JSON each from standard input."""
import json
import os
import sys

from confluent_kafka import Producer

undelivered = []
producer = Producer({
    "bootstrap.servers": os.environ.get("BROKERS", "127.0.0.1:9092"),
    "enable.idempotence": True,
    "partitioner": "murmur2_random",  # equal keys go where Java and Go send them
})
try:
    for line in sys.stdin.buffer:
        key = json.loads(line).get("id")
        while True:
            producer.poll(0)  # hears of deliveries
            try:
                producer.produce("vacancies.raw", line.strip(), key=key, on_delivery=lambda error, _: error and undelivered.append(error))
                break
            except BufferError:  # more wait than fit: let some be delivered
                producer.poll(1)
finally:
    if producer.flush(60) or undelivered:
        sys.exit(f"not delivered: {undelivered or 'no answer in a minute'}")
