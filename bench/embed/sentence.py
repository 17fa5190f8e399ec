"""What the reference system does: sentence-transformers on torch, one text at a time. Reads words from standard input, answers with JSON; see peer.go.

The weights are those of our fp32 graph. `first N` answers with the vectors of the first texts, `run` with the seconds that all of them take.
"""
import argparse
import json
import sys
import time

import e5_torch

p = argparse.ArgumentParser()
for name in "texts", "graph", "tokenizer", "prefix", "folder":
    p.add_argument("--" + name, required=True)
for name in "threads", "pad":
    p.add_argument("--" + name, required=True, type=int)
a = p.parse_args()
model = e5_torch.load(a.graph, a.tokenizer, a.pad, a.folder, a.threads)

with open(a.texts) as f:
    texts = [a.prefix + t for t in json.load(f)]


def embed(of):
    return [model.encode(t, show_progress_bar=False) for t in of]


for line in sys.stdin:
    word = line.split()
    if word[0] == "first":
        vectors = embed(texts[: int(word[1])])
        answer = {"versions": e5_torch.versions, "vectors": [v.tolist() for v in vectors]}
    else:
        began = time.perf_counter()
        embed(texts)
        answer = {"seconds": time.perf_counter() - began}
    print(json.dumps(answer), flush=True)
