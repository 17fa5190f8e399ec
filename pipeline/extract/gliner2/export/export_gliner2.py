#!/usr/bin/env python3
"""Exports a GLiNER2 checkpoint to ONNX graphs and the files beside them, and checks every graph against the checkpoint.

What a graph computes is what the package gliner2 1.2.4 computes (gliner2/model.py, gliner2/layers.py, SpanMarkerV0 of gliner/modeling/span_rep.py); H is the encoder's
width. Floating point goes in and comes out as float32 in all of them, also in those that compute in float16.

  encoder      input_ids int64 [batch, seq_len], attention_mask int64 [batch, seq_len]    -> hidden_states [batch, seq_len, H]
  span_rep     hidden_states [batch, seq_len, H], span_start_idx and span_end_idx int64 [batch, num_spans], rows of hidden_states
                                                                                          -> span_representations [batch, num_spans, H]
  count_embed  label_embeddings [num_labels, H]                                           -> transformed_embeddings [num_labels, H]
  classifier   hidden_state [batch, H]                                                    -> logit [batch, 1]
  count_pred   hidden_state [batch, H]                                                    -> count_logits [batch, 20]

count_embed is that of the first counted entity: the recurrence runs forward, so it is the same however many the model counts.
"""
import argparse
import importlib
import io
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

NEEDED = {"torch": "torch", "transformers": "transformers", "gliner2": "gliner2", "onnx": "onnx", "onnxruntime": "onnxruntime", "numpy": "numpy", "sentencepiece": "sentencepiece"}
MISSING = 3  # the status when packages are missing
OPSET = 18
# Greatest differences of a graph to the checkpoint, as shares of the greatest number that comes out, or absolute where that is below 1.
TOLERANCE, HALF_TOLERANCE = 1e-4, 5e-2
# A graph larger than this keeps its weights in a file beside it: Protobuf holds 2 GiB.
LARGEST = 1_900_000_000
GRAPHS = {
    "encoder": (["input_ids", "attention_mask"], ["hidden_states"]),
    "span_rep": (["hidden_states", "span_start_idx", "span_end_idx"], ["span_representations"]),
    "count_embed": (["label_embeddings"], ["transformed_embeddings"]),
    "classifier": (["hidden_state"], ["logit"]),
    "count_pred": (["hidden_state"], ["count_logits"]),
}
AXES = {
    "input_ids": ["batch", "seq_len"],
    "attention_mask": ["batch", "seq_len"],
    "hidden_states": ["batch", "seq_len"],
    "span_start_idx": ["batch", "num_spans"],
    "span_end_idx": ["batch", "num_spans"],
    "span_representations": ["batch", "num_spans"],
    "label_embeddings": ["num_labels"],
    "transformed_embeddings": ["num_labels"],
    "hidden_state": ["batch"],
    "logit": ["batch"],
    "count_logits": ["batch"],
}


class ExportError(Exception):
    """What a user can mend; its text says how."""


def arguments():
    p = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Export a GLiNER2 checkpoint to ONNX, so that jobstrom extracts with it without Python.",
        epilog="""A checkpoint is a folder that GLiNER2's save_pretrained wrote (config.json, encoder_config/config.json, model.safetensors and the tokenizer's files), or a name on
the Hugging Face hub such as fastino/gliner2-multi-v1, which gliner2 downloads and keeps in its cache.

The new folder gets onnx/<graph>.onnx and onnx/<graph>_fp16.onnx of encoder, span_rep, count_embed, classifier and count_pred, the tokenizer's files, gliner2_config.json
(the spans' greatest width, the special tokens' ids, the graphs) and config.json. Each graph runs on random input beside the checkpoint; when they disagree, nothing is
written and the status is 1. When packages are missing the status is 3.

  export_gliner2.py fastino/gliner2-multi-v1 extractors/gliner2-multi
  export_gliner2.py checkpoints/mine extractors/mine --precision fp32

A model of 300 million parameters takes about 8 GB of memory and a few minutes.""",
    )
    p.add_argument("checkpoint", help="folder of the checkpoint, or its name on the hub")
    p.add_argument("dir", help="folder to make; it must not exist, unless it is empty")
    p.add_argument("--precision", choices=["fp32", "fp16", "both"], default="both", help="graphs to write: fp16 is half as large, and slower on most processors (default both)")
    p.add_argument("--remedy", default=f"{sys.executable} -m pip install -r {Path(__file__).with_name('requirements.txt')}", help=argparse.SUPPRESS)
    return p.parse_args()


def say(text):
    print(text, file=sys.stderr, flush=True)


def require(packages, remedy):
    """Imports packages, or says which are missing and what installs them."""
    warnings.simplefilter("ignore")  # of what packages will change one day
    missing = []
    for module, package in packages.items():
        try:
            importlib.import_module(module)
        except ImportError as e:
            missing.append(f"{package} ({e})")
    if missing:
        say(f"export_gliner2.py: this Python ({sys.executable}) has no {', '.join(missing)}; install what is missing with: {remedy}")
        sys.exit(MISSING)


@contextmanager
def phase(what):
    """Says what begins, and how long it took."""
    say(f"{what} …")
    began = time.monotonic()
    yield
    say(f"{what}: {time.monotonic() - began:.1f} s")


def load(checkpoint):
    """Returns the checkpoint's model, ready to run."""
    import torch
    import transformers
    from gliner2 import GLiNER2

    transformers.utils.logging.set_verbosity_error()
    if (path := Path(checkpoint)).exists():
        for name in "config.json", "encoder_config/config.json":
            if not (path / name).is_file():
                raise ExportError(f"reading {checkpoint}: {name} is missing: it must be a folder that GLiNER2's save_pretrained wrote, or a name on the hub")
    elif checkpoint.count("/") != 1 or checkpoint.startswith((".", "/", "~")):
        raise ExportError(f"reading {checkpoint}: there is no such folder, and a name on the hub is OWNER/NAME")
    try:
        with redirect_stdout(io.StringIO()):  # its configuration, in a frame
            model = GLiNER2.from_pretrained(checkpoint)
    except Exception as e:
        raise ExportError(f"loading {checkpoint}: {type(e).__name__}: {e}") from e
    if model.config.token_pooling != "first":
        raise ExportError(f"exporting {checkpoint}: token_pooling is {model.config.token_pooling!r}: the graphs know the first token of a word only")
    torch.backends.mha.set_fastpath_enabled(False)  # its operator has no counterpart in ONNX
    return model.float().eval()


def modules(model):
    """Returns what each graph is traced from."""
    import torch
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = model.encoder

        def forward(self, input_ids, attention_mask):
            return self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state

    class SpanRep(nn.Module):
        def __init__(self):
            super().__init__()
            layer = model.span_rep.span_rep_layer
            self.project_start, self.project_end, self.out_project = layer.project_start, layer.project_end, layer.out_project

        def forward(self, hidden_states, span_start_idx, span_end_idx):
            def rows(of, index):
                return torch.gather(of, 1, index.unsqueeze(-1).expand(-1, -1, of.size(-1)))

            start, end = rows(self.project_start(hidden_states), span_start_idx), rows(self.project_end(hidden_states), span_end_idx)
            return self.out_project(torch.cat([start, end], -1).relu())

    class Step(nn.Module):
        """One step of a GRU, as torch.nn.GRU documents it, in operators that every runtime has."""

        def __init__(self, gru):
            super().__init__()
            if gru.num_layers != 1 or gru.bidirectional:
                raise ExportError("exporting count_embed: its GRU has several layers or directions: only one of each is known")
            self.gru = gru

        def forward(self, x, h):
            g = self.gru
            xr, xz, xn = nn.functional.linear(x[0], g.weight_ih_l0, g.bias_ih_l0).chunk(3, -1)
            hr, hz, hn = nn.functional.linear(h[0], g.weight_hh_l0, g.bias_hh_l0).chunk(3, -1)
            update = torch.sigmoid(xz + hz)
            new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            out = ((1 - update) * new + update * h[0]).unsqueeze(0)
            return out, out

    class CountEmbed(nn.Module):
        def __init__(self):
            super().__init__()
            import copy

            self.count_embed = copy.deepcopy(model.count_embed)
            self.count_embed.gru = Step(self.count_embed.gru)

        def forward(self, label_embeddings):
            return self.count_embed(label_embeddings, 1)[0]

    return {"encoder": Encoder(), "span_rep": SpanRep(), "count_embed": CountEmbed(), "classifier": model.classifier, "count_pred": model.count_pred}


def references(model, traced):
    """Returns what each graph must compute: the checkpoint's own modules, where they are called in another way than the graphs."""

    def span_rep(hidden, start, end):
        import torch

        layer, width = model.span_rep.span_rep_layer, model.max_width
        pad = -start.shape[1] % width  # the layer wants whole rows of spans
        index = torch.nn.functional.pad(torch.stack([start, end], -1), (0, 0, 0, pad))
        return layer(hidden, index).flatten(1, 2)[:, : start.shape[1]]

    # As the package does with several counted entities: the graph is its first.
    return {**traced, "span_rep": span_rep, "count_embed": lambda labels: model.count_embed(labels, 7)[0]}


def inputs(model, seed, batch, length, labels, spans):
    """Returns random input of each graph."""
    import torch

    g = torch.Generator().manual_seed(seed)
    hidden = model.hidden_size
    ids = torch.randint(0, model.encoder.config.vocab_size, (batch, length), generator=g)
    mask = torch.ones_like(ids)
    for row in range(1, batch):  # rows of a batch differ in length
        mask[row, length - row * length // (batch + 1) :] = 0
    states = torch.randn(batch, length, hidden, generator=g)
    start, end = (torch.randint(0, length, (batch, spans), generator=g) for _ in range(2))
    rows = torch.randn(labels, hidden, generator=g)
    return {"encoder": (ids, mask), "span_rep": (states, start, end), "count_embed": (rows,), "classifier": (rows,), "count_pred": (rows,)}


def trace(name, module, args, path):
    """Writes one graph."""
    import onnx
    import torch

    ins, outs = GRAPHS[name]
    axes = {v: dict(enumerate(AXES[v])) for v in ins + outs}
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's, of shapes that are constant on purpose
        file = Path(folder) / "graph.onnx"
        torch.onnx.export(module, args, str(file), input_names=ins, output_names=outs, dynamic_axes=axes, opset_version=OPSET, dynamo=False)
        model = onnx.load(str(file))
    for node in model.graph.node:
        node.ClearField("doc_string")
    save(model, path)


def save(model, path):
    import onnx

    large = model.ByteSize() > LARGEST if not any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer) else True
    if large:
        onnx.save(model, str(path), save_as_external_data=True, location=path.name + ".data")
    else:
        onnx.save(model, str(path))


def halve(source, path):
    """Writes a graph that computes in float16 but takes and gives float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(str(source))
    # What no weight reaches is the arithmetic of positions: float16 cannot count past 2,048.
    reached = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) > 1}
    reached |= {i.name for i in model.graph.input if i.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    exact = []
    for node in model.graph.node:
        if reached.intersection(node.input):
            reached.update(node.output)
        elif node.op_type != "Constant":
            exact.append(node.name)
    logging.getLogger("onnxruntime").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights that round to nothing
        half = convert_float_to_float16(model, keep_io_types=True, node_block_list=exact, op_block_list=["Range", "CumSum", "NonZero"])
    sort(half.graph)
    save(half, path)


def sort(graph):
    """Puts nodes behind those that they read from: the conversion appends the ones it adds."""

    def reads(node):
        yield from node.input
        for a in node.attribute:
            for inner in a.g.node:
                yield from reads(inner)

    maker = {v: i for i, n in enumerate(graph.node) for v in n.output if v}
    waits = [{maker[v] for v in reads(n) if v in maker} for n in graph.node]
    order, placed = [], set()
    for i in range(len(graph.node)):
        stack = [i]
        while stack:
            if stack[-1] in placed:
                stack.pop()
            elif before := sorted(waits[stack[-1]] - placed, reverse=True):
                stack.extend(before)
            else:
                placed.add(stack[-1])
                order.append(stack.pop())
    nodes = [type(graph.node[i]).FromString(graph.node[i].SerializeToString()) for i in order]
    del graph.node[:]
    graph.node.extend(nodes)


def compare(name, path, reference, cases, tolerance):
    """Runs a graph on the cases and returns its greatest difference to the checkpoint, or raises when that is above the tolerance."""
    import numpy as np
    import onnxruntime
    import torch

    o = onnxruntime.SessionOptions()
    o.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])
    greatest = 0.0
    for args in cases:
        with torch.no_grad():
            want = reference(*args).numpy()
        got = session.run(None, {n: a.numpy() for n, a in zip(GRAPHS[name][0], args)})[0]
        if got.shape != want.shape:
            raise ExportError(f"checking {path.name}: it gives {got.shape}, the checkpoint {want.shape}")
        if name == "encoder":  # what stands for a token that is masked is never read
            keep = args[1].numpy().astype(bool)
            got, want = got[keep], want[keep]
        difference = float(np.abs(got - want).max()) / max(1.0, float(np.abs(want).max()))
        if not difference <= tolerance:  # NaN is no agreement either
            raise ExportError(f"checking {path.name}: it differs from the checkpoint by {difference:.2g}, at most {tolerance:g} is allowed; nothing was written")
        greatest = max(greatest, difference)
    return greatest


def describe(model, names, dir):
    """Writes the tokenizer and the two configurations."""
    tokenizer = model.processor.tokenizer
    tokenizer.save_pretrained(str(dir))
    if not (dir / "tokenizer.json").is_file():
        raise ExportError("saving the tokenizer: it has no tokenizer.json: the checkpoint's must be a fast one")
    special = {t: tokenizer.convert_tokens_to_ids(t) for t in model.processor.SPECIAL_TOKENS}
    if unknown := [t for t, i in special.items() if i is None or i == tokenizer.unk_token_id]:
        raise ExportError(f"reading the special tokens: the tokenizer does not know {', '.join(unknown)}")
    for name, content in {
        "gliner2_config.json": {"max_width": model.max_width, "special_tokens": special, "onnx_files": names},
        "config.json": {"hidden_size": model.hidden_size, "vocab_size": tokenizer.vocab_size},
    }.items():
        (dir / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export(model, dir, precision="both"):
    """Writes a model into a folder and returns the greatest difference of each graph to it: {"fp32": {graph: …}, "fp16": {…}}."""
    (dir / "onnx").mkdir(parents=True)
    traced = modules(model)
    wanted = references(model, traced)
    cases = [inputs(model, 1, 1, 40, 3, 24), inputs(model, 2, 1, 5, 1, 1), inputs(model, 3, 3, 160, 22, 50), inputs(model, 4, 2, 700, 3, 200)]
    names, differences = {}, {"fp32": {}, "fp16": {}}
    for name, module in traced.items():
        own = [c[name] for c in cases]
        path, half = dir / "onnx" / f"{name}.onnx", dir / "onnx" / f"{name}_fp16.onnx"
        with phase(f"writing {name}"):
            trace(name, module.eval(), own[0], path)
            differences["fp32"][name] = compare(name, path, wanted[name], own, TOLERANCE)
            names.setdefault("fp32", {})[name] = f"onnx/{path.name}"
            if precision != "fp32":
                halve(path, half)
                differences["fp16"][name] = compare(name, half, wanted[name], own, HALF_TOLERANCE)
                names.setdefault("fp16", {})[name] = f"onnx/{half.name}"
            if precision == "fp16":
                path.unlink()
                path.with_name(path.name + ".data").unlink(missing_ok=True)
                del names["fp32"][name]
        shown = ", ".join(f"{p} {d[name]:.1g}" for p, d in differences.items() if name in d)
        say(f"  greatest difference to the checkpoint: {shown}")
    describe(model, {p: n for p, n in names.items() if n}, dir)
    return differences


def main():
    a = arguments()
    require(NEEDED, a.remedy)
    target = Path(a.dir)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"making {target}: it exists already: name another folder, or remove it")
    with phase(f"loading {a.checkpoint}"):
        model = load(a.checkpoint)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=target.name + ".") as folder:  # a folder that is there is whole
        made = Path(folder) / "model"
        export(model, made, a.precision)
        if target.exists():
            target.rmdir()
        os.replace(made, target)
    print(target)


if __name__ == "__main__":
    try:
        main()
    except ExportError as e:
        say(f"export_gliner2.py: {e}")
        sys.exit(1)
