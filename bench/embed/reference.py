"""The reference way in Python: transformers' fast tokenizer, onnxruntime, scikit-learn. Reads words from standard input, answers with JSON; see peer.go.

`first N` answers with the vectors of the first texts. `threads` and `intra` answer with the seconds that all texts take: by as many threads of one session of one
thread each as --threads says, or by one session of as many threads. Batches are of 32 texts of like length.
"""
import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
import sklearn
import transformers
from sklearn.linear_model import LogisticRegression

BATCH = 32
CATEGORIES = 22

p = argparse.ArgumentParser()
for name in "texts", "graph", "tokenizer", "provider", "prefix":
    p.add_argument("--" + name, required=True)
for name in "threads", "pad", "tokens":
    p.add_argument("--" + name, required=True, type=int)
a = p.parse_args()

with open(a.texts) as f:
    texts = json.load(f)
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=a.tokenizer, model_max_length=a.tokens)


def session(threads):
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads, o.log_severity_level = threads, 1, 3
    providers = ["CPUExecutionProvider"]
    if a.provider == "openvino":
        settings = {"device_type": "CPU", "num_of_threads": str(threads), "num_streams": "1", "precision": "ACCURACY"}
        providers.insert(0, ("OpenVINOExecutionProvider", settings))
    s = onnxruntime.InferenceSession(a.graph, o, providers=providers)
    if s.get_providers()[0] != (providers[0] if isinstance(providers[0], str) else providers[0][0]):
        sys.exit(f"onnxruntime {onnxruntime.__version__} has no provider {a.provider} here: {s.get_providers()}")
    return s


single, many = session(1), session(a.threads)
pool = ThreadPoolExecutor(a.threads)

# What a prediction costs does not depend on the weights.
random = np.random.default_rng(1)


def classifier(dim):
    c = LogisticRegression()
    c.classes_, c.coef_, c.intercept_ = np.arange(CATEGORIES), random.normal(size=(CATEGORIES, dim)), random.normal(size=CATEGORIES)
    return c


def embed(of, s, apply):
    rows = tokenizer([a.prefix + t for t in of], truncation=True)["input_ids"]
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i]))

    def run(start):
        places = order[start : start + BATCH]
        longest = len(rows[places[0]])
        ids = np.full((len(places), longest), a.pad, np.int64)
        mask = np.zeros_like(ids)
        for r, i in enumerate(places):
            ids[r, : len(rows[i])], mask[r, : len(rows[i])] = rows[i], 1
        return places, s.run(None, {"input_ids": ids, "attention_mask": mask})[0]

    vectors = [None] * len(of)
    for places, values in apply(run, range(0, len(of), BATCH)):
        for i, v in zip(places, values):
            vectors[i] = v
    return np.stack(vectors)


predict = classifier(embed(texts[:1], single, map).shape[1]).predict_proba
ways = {"threads": (single, pool.map), "intra": (many, map)}
for line in sys.stdin:
    word = line.split()
    if word[0] == "first":
        of = texts[: int(word[1])]
        for way in ways.values():  # warms both
            vectors = embed(of, *way)
            predict(vectors)
        versions = f"transformers {transformers.__version__}, onnxruntime {onnxruntime.__version__}, scikit-learn {sklearn.__version__}"
        answer = {"versions": versions, "vectors": vectors.tolist()}
    else:
        began = time.perf_counter()
        predict(embed(texts, *ways[word[0]]))
        answer = {"seconds": time.perf_counter() - began}
    print(json.dumps(answer), flush=True)
