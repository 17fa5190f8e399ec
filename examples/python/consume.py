"""Prints id, category and confidence of classified vacancies, from the first one on."""
import json
import os
import sys

from confluent_kafka import Consumer

consumer = Consumer({
    "bootstrap.servers": os.environ.get("BROKERS", "127.0.0.1:9092"),
    "group.id": os.environ.get("GROUP", "example-python"),  # goes on, next time, behind what it has read
    "auto.offset.reset": "earliest",
    "isolation.level": "read_committed",
})
consumer.subscribe(["vacancies.classified"])
try:
    while True:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            sys.exit(str(message.error()))
        if message.value() is None:  # the vacancy was erased
            continue
        c = json.loads(message.value())
        print(c["id"], c["category"], f"{c['confidence']:.3f}", sep="\t", flush=True)
except KeyboardInterrupt:
    pass
finally:
    consumer.close()
