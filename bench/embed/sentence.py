"""What the reference system does: sentence-transformers on torch, one text at a time. Reads words from standard input, answers with JSON; see peer.go.

The weights are those of our fp32 graph. `first N` answers with the vectors of the first texts, `run` with the seconds that all of them take.
"""
import argparse
import json
import sys
import time

import numpy as np
import onnx
import sentence_transformers
import torch
import transformers
from onnx import numpy_helper
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules

p = argparse.ArgumentParser()
for name in "texts", "graph", "tokenizer", "prefix", "folder":
    p.add_argument("--" + name, required=True)
for name in "threads", "pad":
    p.add_argument("--" + name, required=True, type=int)
a = p.parse_args()
torch.set_num_threads(a.threads)
transformers.logging.set_verbosity_error()  # the pooler, which nothing here uses, has no weights
transformers.logging.disable_progress_bar()

graph = onnx.load(a.graph).graph
tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}


def words():
    """The words' embeddings: blocks of 32 weights of 4 bits, the even ones low, around 8, with a scale."""
    packed, scale = tensors["emb.word.q"], tensors["emb.word.scale"]
    q = np.stack([packed & 15, packed >> 4], axis=2).reshape(packed.shape[0], -1).astype(np.float32) - 8
    return q * np.repeat(scale, q.shape[1] // scale.shape[1], axis=1)


def bert():
    layers = 1 + max(int(n[1 : n.index(".")]) for n in tensors if n[0] == "l" and n[1].isdigit())
    positions, hidden = tensors["emb.position"].shape
    epsilon = next(t.f for n in graph.node if n.op_type == "LayerNormalization" for t in n.attribute if t.name == "epsilon")
    heads = next(t.i for n in graph.node if n.op_type == "MultiHeadAttention" for t in n.attribute if t.name == "num_heads")
    config = transformers.BertConfig(
        vocab_size=tensors["emb.word.q"].shape[0], hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=tensors["l0.fi.b"].shape[0],
        max_position_embeddings=positions, type_vocab_size=1, layer_norm_eps=epsilon, hidden_act="gelu", pad_token_id=a.pad,
    )
    state = {"embeddings.word_embeddings.weight": words(), "embeddings.position_embeddings.weight": tensors["emb.position"]}
    state["embeddings.token_type_embeddings.weight"] = np.zeros((1, hidden), np.float32)  # the positions hold them already

    def put(name, of, bias=None, weight=None):
        state[name + ".weight"] = tensors[of + ".w"] if weight is None else weight
        state[name + ".bias"] = tensors[of + ".b"] if bias is None else bias

    put("embeddings.LayerNorm", "emb.ln")
    for i in range(layers):
        ours, theirs = f"l{i}", f"encoder.layer.{i}"
        bias = np.split(tensors[ours + ".qkv.b"], 3)
        for part, b in zip(("query", "key", "value"), bias):
            put(f"{theirs}.attention.self.{part}", None, b, tensors[f"{ours}.{part[0]}.w"].T)
        put(theirs + ".attention.output.LayerNorm", ours + ".aln")
        put(theirs + ".output.LayerNorm", ours + ".oln")
        for name, of in ("attention.output.dense", "ao"), ("intermediate.dense", "fi"), ("output.dense", "fo"):
            put(f"{theirs}.{name}", f"{ours}.{of}", None, tensors[f"{ours}.{of}.w"].T)
    model = transformers.BertModel(config, add_pooling_layer=False)
    model.load_state_dict({k: torch.tensor(v.copy()) for k, v in state.items()})
    return model


bert().save_pretrained(a.folder)
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=a.tokenizer, pad_token="<pad>", model_max_length=tensors["emb.position"].shape[0])
tokenizer.save_pretrained(a.folder)
transformer = modules.Transformer(a.folder)
pooling = modules.Pooling(tensors["emb.position"].shape[1], pooling_mode="mean")
model = SentenceTransformer(modules=[transformer, pooling, modules.Normalize()], device="cpu")

with open(a.texts) as f:
    texts = [a.prefix + t for t in json.load(f)]


def embed(of):
    return [model.encode(t, show_progress_bar=False) for t in of]


for line in sys.stdin:
    word = line.split()
    if word[0] == "first":
        vectors = embed(texts[: int(word[1])])
        versions = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"
        answer = {"versions": versions, "vectors": [v.tolist() for v in vectors]}
    else:
        began = time.perf_counter()
        embed(texts)
        answer = {"seconds": time.perf_counter() - began}
    print(json.dumps(answer), flush=True)
