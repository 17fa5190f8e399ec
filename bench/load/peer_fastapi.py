"""What ours is compared with: FastAPI on uvicorn, one process, texts of several requests joined in batches.

POST /v1/classify takes the body that ours takes. There is no extractor here: the text that ours extracts comes along as an attribute, so that both embed the same. The model runs in
threads beside the event loop: with --way onnxruntime the graph and the tokenizer of ours, with --way torch sentence-transformers on its weights in 32-bit floating point.
"""
import argparse
import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import fastapi
import numpy as np
import uvicorn
from pydantic import BaseModel

p = argparse.ArgumentParser()
for name in "way", "graph", "tokenizer", "prefix", "classifier", "folder":
    p.add_argument("--" + name, required=True)
for name in "port", "pad", "tokens":
    p.add_argument("--" + name, required=True, type=int)
p.add_argument("--at-once", type=int, required=True, help="batches that run at once")
p.add_argument("--threads", type=int, required=True, help="threads of a batch")
p.add_argument("--most", type=int, required=True, help="texts of a batch at most")
p.add_argument("--wait", type=float, required=True, help="milliseconds that a batch waits for more texts")
a = p.parse_args()


def onnxruntime_encoder():
    import onnxruntime
    import tokenizers

    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads, o.inter_op_num_threads, o.log_severity_level = a.threads, 1, 3
    session = onnxruntime.InferenceSession(a.graph, o, providers=["CPUExecutionProvider"])
    tokenizer = tokenizers.Tokenizer.from_file(a.tokenizer)
    tokenizer.enable_truncation(a.tokens)
    tokenizer.enable_padding(pad_id=a.pad)

    def embed(texts):
        rows = tokenizer.encode_batch([a.prefix + t for t in texts])
        return session.run(None, {name: np.array([getattr(r, of) for r in rows], np.int64) for name, of in (("input_ids", "ids"), ("attention_mask", "attention_mask"))})[0]

    return embed, f"onnxruntime {onnxruntime.__version__}, tokenizers {tokenizers.__version__}"


def torch_encoder():
    import e5_torch

    model = e5_torch.load(a.graph, a.tokenizer, a.pad, a.folder, a.threads)
    return lambda texts: model.encode([a.prefix + t for t in texts], show_progress_bar=False), e5_torch.versions


embed, versions = {"onnxruntime": onnxruntime_encoder, "torch": torch_encoder}[a.way]()
with open(a.classifier) as f:
    classifier = json.load(f)
names = classifier["categories"]
weights, bias, mean = (np.array(classifier[name], np.float32) for name in ("weights", "bias", "mean"))
order = np.argsort(classifier["owners"], kind="stable")  # a category may have several rows: they stand side by side
weights, bias = weights[order], bias[order]
first = np.searchsorted(np.array(classifier["owners"])[order], np.arange(len(names)))


def predict(texts):
    """Returns a row of probabilities for each text."""
    scores = np.logaddexp.reduceat((embed(texts) - mean) @ weights.T + bias, first, axis=1) / classifier["temperature"]
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


class Batcher:
    """Joins the texts of requests that wait."""

    def __init__(self):
        self.waiting, self.pool = asyncio.Queue(), ThreadPoolExecutor(a.at_once)
        self.tasks = [asyncio.create_task(self.run()) for _ in range(a.at_once)]

    async def answer(self, text):
        answer = asyncio.get_running_loop().create_future()
        self.waiting.put_nowait((text, answer))
        return await answer

    async def gather(self):
        batch = [await self.waiting.get()]
        try:
            async with asyncio.timeout(a.wait / 1e3):
                while len(batch) < a.most:
                    batch.append(await self.waiting.get())
        except TimeoutError:
            pass
        return batch

    async def run(self):
        while True:
            batch = await self.gather()
            try:
                rows = await asyncio.get_running_loop().run_in_executor(self.pool, predict, [text for text, _ in batch])
            except Exception as e:
                for _, answer in batch:
                    answer.set_exception(e)
                continue
            for (_, answer), row in zip(batch, rows):
                if not answer.done():  # its caller is gone
                    answer.set_result(row)


class Vacancy(BaseModel):
    text: str
    attributes: dict[str, str]


class Answer(BaseModel):
    categori_label: str
    categori_idx: int
    probability_distribution: list[float]
    frontend_error_message: str | None = None


@asynccontextmanager
async def lifespan(app):
    app.state.batcher = Batcher()
    yield


app = fastapi.FastAPI(lifespan=lifespan)


@app.get("/")
async def about():
    return {"message": f"fastapi {fastapi.__version__}, uvicorn {uvicorn.__version__}, {versions}"}


@app.post("/v1/classify")
async def classify(vacancy: Vacancy) -> Answer:
    row = await app.state.batcher.answer(vacancy.attributes["extracted"])
    best = int(row.argmax())
    return Answer(categori_label=names[best], categori_idx=best, probability_distribution=row.tolist())


uvicorn.run(app, host="127.0.0.1", port=a.port, log_level="warning", access_log=False)
