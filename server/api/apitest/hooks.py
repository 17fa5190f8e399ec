"""Lets schemathesis send lines of JSON."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(ctx, value):
    """A body of the description is a list of lines, or the text itself."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode(errors="replace")
    return "\n".join(json.dumps(line) for line in value if line is not None).encode() if isinstance(value, list) else json.dumps(value).encode()
