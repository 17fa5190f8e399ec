"""The reference ways in Python: gliner2 on torch, or gliner2-onnx. Reads words from standard input, answers with JSON; see peer.go.

`first N` answers with the entities of the first texts, and what the encoder reads of all (gliner2 alone). `one` answers with the seconds that all texts take one at a time, and `batch`,
of gliner2 alone, in batches of 8, longest first, so that little is padded.
"""
import argparse
import io
import json
import os
import sys
import time
from contextlib import redirect_stdout

p = argparse.ArgumentParser()
for name in "way", "texts", "model":
    p.add_argument("--" + name, required=True)
p.add_argument("--threads", required=True, type=int)
p.add_argument("--labels", required=True, nargs="+")
a = p.parse_args()
os.environ["OMP_NUM_THREADS"] = str(a.threads)

import onnxruntime  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402

transformers.utils.logging.set_verbosity_error()
with open(a.texts) as f:
    texts = json.load(f)


class Native:
    """gliner2.GLiNER2 in 32-bit floating point."""

    ways = {"one": 1, "batch": 8}

    def __init__(self):
        import gliner2

        torch.set_num_threads(a.threads)
        self.versions = f"gliner2 {gliner2.__version__}, torch {torch.__version__}, transformers {transformers.__version__}"
        with redirect_stdout(io.StringIO()):
            self.model = gliner2.GLiNER2.from_pretrained(a.model).eval()

    def find(self, of, batch):
        return self.model.batch_extract_entities(of, a.labels, batch_size=batch, include_confidence=True, include_spans=True)

    def entities(self, of):
        found = self.find(of, 1)
        return [[[a.labels.index(label), e["start"], e["end"], e["confidence"]] for label, of in f["entities"].items() for e in of] for f in found]

    def prompts(self):
        schema = self.model.create_schema().entities(a.labels)
        return [self.model.processor.collate_fn_inference([(t, schema)]) for t in texts]

    def run(self, way):
        of = texts if way == "one" else sorted(texts, key=len, reverse=True)
        self.find(of, self.ways[way])


class ONNX:
    """gliner2_onnx.GLiNER2ONNXRuntime, with as many threads as the others."""

    ways = {"one": 1}

    def __init__(self):
        import gliner2_onnx

        whole = onnxruntime.InferenceSession

        def session(path, providers):
            o = onnxruntime.SessionOptions()
            o.intra_op_num_threads, o.inter_op_num_threads, o.log_severity_level = a.threads, 1, 3
            return whole(path, o, providers=providers)

        onnxruntime.InferenceSession = session
        self.versions = f"gliner2-onnx {gliner2_onnx.__version__}, onnxruntime {onnxruntime.__version__}"
        self.runtime = gliner2_onnx.GLiNER2ONNXRuntime(a.model)

    def entities(self, of):
        return [[[a.labels.index(e.label), e.start, e.end, e.score] for e in self.runtime.extract_entities(t, a.labels)] for t in of]

    def run(self, way):
        for t in texts:
            self.runtime.extract_entities(t, a.labels)


way = {"native": Native, "onnx": ONNX}[a.way]()
for line in sys.stdin:
    word = line.split()
    if word[0] == "first":
        answer = {"versions": way.versions, "entities": way.entities(texts[: int(word[1])])}
        if hasattr(way, "prompts"):
            batches = way.prompts()
            answer["ids"] = [b.input_ids[0].tolist() for b in batches]
            answer["words"] = [len(b.text_tokens[0]) for b in batches]
    else:
        began = time.perf_counter()
        way.run(word[0])
        answer = {"seconds": time.perf_counter() - began}
    print(json.dumps(answer), flush=True)
