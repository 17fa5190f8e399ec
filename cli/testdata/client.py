"""A Python client: client.py BROKER produce TOPIC COMPRESSION < lines, or client.py BROKER consume TOPIC."""

import sys

from confluent_kafka import Consumer, Producer

broker, verb, topic = sys.argv[1:4]
if verb == "produce":
    undelivered = []
    producer = Producer({"bootstrap.servers": broker, "compression.type": sys.argv[4]})
    for line in sys.stdin.buffer:
        producer.produce(topic, line.rstrip(b"\n"), on_delivery=lambda err, _: err and undelivered.append(err))
    if producer.flush(60) or undelivered:
        sys.exit(f"not delivered: {undelivered}")
else:
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "outsider",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
        }
    )
    consumer.subscribe([topic])
    while True:
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            sys.exit(str(message.error()))
        sys.stdout.buffer.write(message.value() + b"\n")
        sys.stdout.buffer.flush()
