#!/usr/bin/env python3
"""Makes the random models tiny and small, and what the packages gliner2 1.2.4 and gliner2-onnx 0.1.1 answer with them: goldens.jsonl.gz.

  python make_goldens.py                         make tiny, small, tied and goldens.jsonl.gz anew, beside this script
  python make_goldens.py --check                 make them elsewhere, and compare with what lies here
  python make_goldens.py --checkpoint tiny DIR   only save the checkpoint that tiny (or small) is exported from

requirements.txt has the packages. The same machine gives the same bytes again; others may round the last digits in another way, which is why --check allows 1e-4.

The models have the architecture of mDeBERTa (deberta-v2 with relative attention c2p|p2c, shared keys, position buckets) with weights of NumPy's RandomState, which no
version changes; tiny is 16 wide with 1 layer, small is 32 wide with 2. Scales and shifts are such that scores spread: about an eighth of tiny's spans reach .5, and
less of small's, where about a quarter of the texts are closed by the count gate (0 is the likeliest count). tied/count_embed.onnx in the place of tiny's makes nearly all
scores exactly 0 or 1, so that the order of the spans decides. The tokenizer of both is a Unigram of sentencepiece, trained on texts.json, with mDeBERTa's normaliser
(nmt_nfkc) and special tokens.

goldens.jsonl.gz has a JSON object a line; offsets are in code points, "native" is gliner2, "onnx" is gliner2-onnx:

  record "header"   versions: of the packages; fp16: greatest difference of each fp16 graph to the checkpoint
  record "labels"   id; labels: [{name, description?, threshold?}], in order. gliner2-onnx knows names alone
  record "text"     id; text, or parts [[s, n], …]: each s n times, one after the other. The text that the entities' offsets count in
                    native_words, onnx_words: [[word, start, end], …]; the word is lower-cased, the offsets are the package's. native_text_suffix: "." where the package
                    adds one (to the empty text, too), else ""; native_words are those of text + native_text_suffix
  record "prompt"   text, labels: ids of both. native, onnx (null where the package raises): {ids, p_pos, e_pos, text_start, first}
                    ids: token ids. p_pos, e_pos: where [P] and each label's [E] are. text_start: of the first word's first id. first: of each word its first id's place,
                    counted from text_start; native's leaves words without ids out, onnx's gives them the place of the next word's
  record "case"     text, labels, model ("tiny", "small", or "tied"), threshold
                    native: {count, count_gap, entities, lists, gap, order_gap, tensors}
                      count: that the gate predicts, 0 finds nothing; count_gap: by how much its logit leads
                      entities: [{label, text, score, start, end}], labels as asked, in each by falling score. A text is stripped, its offsets are not; the end may lie
                      behind the text, by the "." that was added. lists: {label: [text, …]}, what the package formats; null with count 0
                      gap: the least difference of two scores, or of a score and the threshold, that decides which entities there are; order_gap: that decides their
                      order, and which of equal texts stays. null: there are no two. Scores that are 1 because they saturate do not count. Where a gap is small another
                      order of additions may answer in another way
                      tensors: {hidden [sequence, H], labels [labels, H] after count_embed, logits [spans, labels], count [20]}: {shape, data} with data as little-endian
                      float32 in base64, or {shape, mean, min, max, probe} with probe [[place in the flat tensor, value], …]. Spans are in order of start, then width, of
                      the words that have ids
                    onnx: {entities, gap, order_gap}, entities by falling score over all labels; {error}: what it raises; null where labels have thresholds of their own
  record "classify" text, model, labels: names. The task is "category"
                    native: {ids, l_pos, logits, probabilities (softmax), best}; onnx: {ids, l_pos, best, probability} or {error}
"""
import argparse
import base64
import gzip
import hashlib
import importlib.metadata
import io
import itertools
import json
import math
import os
import re
import shutil
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import onnx as onnx_files
import onnxruntime
import torch
import transformers

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "export"))
import export_gliner2  # noqa: E402
from gliner2 import GLiNER2  # noqa: E402
from gliner2.model import ExtractorConfig  # noqa: E402
from gliner2_onnx import GLiNER2ONNXRuntime  # noqa: E402
from transformers import DebertaV2Config, DebertaV2TokenizerFast  # noqa: E402

PACKAGES = ["gliner2", "gliner", "gliner2-onnx", "torch", "transformers", "tokenizers", "sentencepiece", "onnx", "onnxruntime", "numpy"]
PIECES = 600
# Of each model: width, layers, attention heads, seed, and where the logits of its spans should lie: mean and standard deviation.
MODELS = {
    "tiny": {"hidden": 16, "layers": 1, "heads": 2, "seed": 8, "mean": -1.7, "deviation": 1.5, "width": 8},
    "small": {"hidden": 32, "layers": 2, "heads": 4, "seed": 16, "mean": -3.5, "deviation": 2.5, "width": 8},
}
TIED = 1000  # what the label embeddings of tied are multiplied with
CALIBRATION = ["baker", "nurse", "driver", "developer", "engineer", "english", "cook"]
LABELS = {
    "danish": ["stillingsbetegnelser", "kompetencer", "arbejdsopgaver"],
    "one": ["stillingsbetegnelser"],
    "english": ["job title", "skill", "task", "location", "employer"],
    "languages": ["Berufsbezeichnung", "навык", "métier", "αρμοδιότητα", "能力"],
    "capitals": ["Stillingsbetegnelser og titler", "IT-Kompetencer (tekniske)", "KRAV  til\tansøger"],
    "described": [
        {"name": "stillingsbetegnelser", "description": "Titlen på den stilling, der skal besættes"},
        {"name": "kompetencer", "description": "Hvad ansøgeren skal kunne: fag, sprog & værktøj"},
        {"name": "arbejdsopgaver"},
    ],
    "thresholds": [{"name": "stillingsbetegnelser", "threshold": 0.2}, {"name": "kompetencer"}, {"name": "arbejdsopgaver", "threshold": 0.8}],
}
SOME = ["baker", "nurse", "developer", "english", "turkish", "control", "danish-nfd"]
FULL = ["baker", "mason", "danish-nfd", "control", "one-word", "empty"]  # texts whose tensors are given in full, with the Danish labels
TIES = ["baker", "nurse", "driver", "cook", "repeats", "nested", "joined", "emoji", "eight-words", "one-word", "engineer"]
CATEGORIES = HERE.parents[3] / "schemas" / "categories.json"
CLASSIFIED = ["baker", "nurse", "mason", "teacher", "developer", "accountant", "cook", "engineer", "english", "turkish", "control", "emoji", "one-word", "empty", "hundreds"]
SATURATED = 18  # a logit whose float32 sigmoid is 1, however that is computed


def text_of(t):
    return t["text"] if "text" in t else "".join(s * n for s, n in t["parts"])


def labels_of(id):
    return [{"name": label} if isinstance(label, str) else label for label in LABELS[id]]


def plain(value, digits=7):
    """Returns a number that JSON writes short."""
    return round(float(value), digits)


def train_tokenizer(texts, folder):
    """Returns a fast tokenizer of mDeBERTa's kind."""
    import sentencepiece

    corpus = [line for t in texts for line in text_of(t)[:2000].replace("\0", " ").splitlines() if line.strip()] + [label["name"] for id in LABELS for label in labels_of(id)]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus), model_writer=model, model_type="unigram", vocab_size=PIECES, normalization_rule_name="nmt_nfkc", character_coverage=0.985,
        hard_vocab_limit=False, num_threads=1, minloglevel=2, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]", unk_piece="[UNK]",
    )  # fmt: skip
    path = Path(folder) / "spm.model"
    path.write_bytes(model.getvalue())
    tokenizer = DebertaV2TokenizerFast(vocab_file=str(path))
    tokenizer.vocab_file = None  # the fast one is whole in tokenizer.json
    return tokenizer


def build(name, texts):
    """Returns a model with random weights."""
    m = MODELS[name]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        encoder = DebertaV2Config(
            hidden_size=m["hidden"], num_hidden_layers=m["layers"], num_attention_heads=m["heads"], intermediate_size=2 * m["hidden"], relative_attention=True, position_buckets=32,
            max_relative_positions=-1, max_position_embeddings=128, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0,
            layer_norm_eps=1e-7, hidden_act="gelu", pad_token_id=0, vocab_size=0,
        )  # fmt: skip
        tokenizer = train_tokenizer(texts, folder)
        encoder.vocab_size = len(tokenizer)
        model = GLiNER2(ExtractorConfig(model_name="random/" + name, max_width=m["width"], counting_layer="count_lstm"), encoder_config=encoder, tokenizer=tokenizer)
    random = np.random.RandomState(m["seed"])
    with torch.no_grad():
        for key, p in sorted(model.named_parameters()):
            if p.dim() == 1:
                values = random.normal(1.0 if "LayerNorm.weight" in key else 0.0, 0.1, p.shape)
            else:
                values = random.normal(0.0, 1.0 if "embedding" in key else 1.4 / math.sqrt(p.shape[-1]), p.shape)
            p.copy_(torch.from_numpy(values.astype(np.float32)))
    model.eval()
    calibrate(model, m, texts)
    return model


@torch.no_grad()
def spread(model, texts, mean, deviation):
    """Scales and shifts the last layer of count_embed so that the logits of spans have a mean and a standard deviation, and returns what the model computes of the texts. All numbers are
    rounded, as other machines compute the last digits in another way."""
    some = [measure(model, t, "danish") for t in texts]
    spans, logits = torch.cat([s["spans"] for s in some]), torch.cat([s["logits"] for s in some])
    last = model.count_embed.projector[-1]
    scale = float(f"{deviation / float(logits.std()):.2g}")
    last.weight *= scale
    last.bias *= scale
    direction = spans.mean(0)
    shift = mean - scale * float(logits.mean())
    last.bias += torch.round(100 * shift * direction / direction.dot(direction)) / 100
    return some


@torch.no_grad()
def calibrate(model, m, texts):
    """Sets the last layers so that answers differ."""
    some = spread(model, [text_of(t) for t in texts if t["id"] in CALIBRATION], m["mean"], m["deviation"])
    last = model.classifier[-1]
    scale = float(f"{1.5 / float(torch.cat([model.classifier(s['hidden']) for s in some]).std()):.2g}")
    last.weight *= scale
    last.bias *= scale
    last = model.count_pred[-1]
    leads = sorted(float(s["count"][0] - s["count"][1:].max()) for s in (measure(model, text_of(t), "danish") for t in texts))
    if m["heads"] == 2:  # tiny's gate never closes
        last.bias[0] -= round(leads[-1], 1) + 1
        return
    # The gate closes for a fifth to a third: between the two leads there that lie farthest apart.
    share = range(len(leads) * 2 // 3, len(leads) * 4 // 5)
    i = max(share, key=lambda i: leads[i + 1] - leads[i])
    last.bias[0] -= round((leads[i] + leads[i + 1]) / 2, 3)


def schema_of(model, labels):
    return model.create_schema().entities({label["name"]: {k: v for k, v in label.items() if k != "name"} for label in labels_of(labels)})


@torch.no_grad()
def measure(model, text, labels):
    """Returns what the package feeds its encoder and computes of it."""
    batch = model.processor.collate_fn_inference([(text, schema_of(model, labels))])
    ids, mapping = batch.input_ids[0].tolist(), batch.mapped_indices[0]
    schema = [j for j, i in enumerate(ids) if mapping[j][0] == "schema" and model.processor.tokenizer.convert_ids_to_tokens(i) in ("[P]", "[E]", "[L]")]
    start = next(j for j, m in enumerate(mapping) if m[0] == "sep") + 1
    first = [j for j in range(start, len(ids)) if j == start or mapping[j][1] != mapping[j - 1][1]]
    hidden = model.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state[0]
    count = model.count_pred(hidden[schema[0]].unsqueeze(0))[0]
    rows = model.count_embed(hidden[schema[1:]], max(1, int(count.argmax())))[0]
    spans = torch.zeros(0, hidden.shape[1])
    if first:
        info = model.compute_span_rep(hidden[first])
        spans = info["span_rep"].flatten(0, 1)[~info["span_mask"][0]]
    return {
        "prompt": {"ids": ids, "p_pos": schema[0], "e_pos": schema[1:], "text_start": start, "first": [j - start for j in first]},
        "words": [list(w) for w in zip(batch.text_tokens[0], batch.start_mappings[0], batch.end_mappings[0])],
        "hidden": hidden, "count": count, "labels": rows, "spans": spans, "logits": spans @ rows.T,
    }  # fmt: skip


def gaps(logits, thresholds, words, width, one_order):
    """Returns the differences of scores that decide which entities there are, and their order, in each label or in all. logits are [spans, labels] of the words' spans."""
    where = [(i, i + j) for i in range(words) for j in range(min(width, words - i))]
    scores = torch.sigmoid(logits).numpy().astype(np.float64)
    saturated = logits.numpy() > SATURATED
    least, orders = math.inf, []
    for k, threshold in enumerate(thresholds):
        least = min(least, float(np.abs(scores[:, k] - threshold).min(initial=math.inf)))
        chosen = [s for s in range(len(where)) if scores[s, k] >= threshold]
        kept = {}  # span of each of its words
        for s in sorted(chosen, key=lambda s: -scores[s, k]):
            place = range(where[s][0], where[s][1] + 1)
            if not any(w in kept for w in place):
                kept.update(dict.fromkeys(place, s))
        for s in chosen:  # two that are both left out may change places
            for o in {kept[w] for w in range(where[s][0], where[s][1] + 1) if w in kept} - {s}:
                if not (saturated[s, k] and saturated[o, k]):
                    least = min(least, abs(scores[s, k] - scores[o, k]))
        orders.append(sorted(scores[s, k] for s in set(kept.values()) if not saturated[s, k]))
    if one_order:
        orders = [sorted(itertools.chain(*orders))]
    order = min([b - a for found in orders for a, b in zip(found, found[1:])], default=math.inf)
    return {n: None if math.isinf(v) else float(f"{v:.3g}") for n, v in {"gap": least, "order_gap": order}.items()}


def tensor(t, full):
    data = np.ascontiguousarray(t.detach().numpy(), dtype="<f4")
    if full:
        return {"shape": list(data.shape), "data": base64.b64encode(data.tobytes()).decode()}
    flat = data.reshape(-1).astype(np.float64)
    if flat.size == 0:
        return {"shape": list(data.shape), "data": ""}
    probe = sorted({int(i) for i in np.linspace(0, flat.size - 1, 9)})
    return {"shape": list(data.shape), "mean": plain(flat.mean()), "min": plain(flat.min()), "max": plain(flat.max()), "probe": [[i, plain(flat[i])] for i in probe]}


def native(model, text, labels, threshold, measured, full):
    schema = schema_of(model, labels)
    said = io.StringIO()
    with redirect_stdout(said):
        lists = model.extract(text, schema, threshold=threshold)["entities"]
        found = model.extract(text, schema, threshold=threshold, include_confidence=True, include_spans=True)["entities"]
    if said.getvalue():
        sys.exit(f"gliner2 says of {text!r}: {said.getvalue()}")
    count = measured["count"]
    ordered = count.sort(descending=True).values
    closed = int(count.argmax()) == 0
    if closed != (found == {}):
        sys.exit(f"the count of {text!r} is {int(count.argmax())}, gliner2 found {found}")
    own = [label.get("threshold", threshold) for label in labels_of(labels)]
    return {
        "count": int(count.argmax()),
        "count_gap": plain(ordered[0] - ordered[1]),
        "entities": [{"label": name, "text": e["text"], "score": plain(e["confidence"]), "start": e["start"], "end": e["end"]} for name, of in found.items() for e in of],
        "lists": None if closed else lists,
        **gaps(measured["logits"], own, len(measured["prompt"]["first"]), model.max_width, False),
        "tensors": {n: tensor(measured[n], full) for n in ("hidden", "labels", "logits", "count")},
    }


def raised(e):
    """Returns an exception without what changes from run to run."""
    return {"error": f"{type(e).__name__}: " + re.sub(r"\s+", " ", str(e))[:200]}


def onnx_prompt(runtime, text, names):
    ids, _, e_pos, words, start, first = runtime._build_ner_input(text, names)
    p = runtime.special_tokens["[P]"]
    return {"ids": ids[0].tolist(), "p_pos": ids[0].tolist().index(p), "e_pos": e_pos, "text_start": start, "first": first}


def onnx(runtime, text, labels, threshold):
    if any("threshold" in label for label in labels_of(labels)):
        return None
    names = [label["name"] for label in labels_of(labels)]
    try:
        found = runtime.extract_entities(text, names, threshold)
    except Exception as e:
        return raised(e)
    ids, mask, e_pos, words, start, first = runtime._build_ner_input(text, names)
    hidden = runtime._encode(ids, mask)
    starts, ends = runtime._generate_spans(len(words))
    spans = runtime._get_span_rep(hidden[:, start:], np.array(first)[starts][None], np.array(first)[ends][None])[0]
    rows = runtime.count_embed.run(None, {"label_embeddings": hidden[0, e_pos]})[0]
    logits = torch.from_numpy(np.einsum("sh,lh->sl", spans, rows))
    return {
        "entities": [{"label": e.label, "text": e.text, "score": plain(e.score), "start": e.start, "end": e.end} for e in found],
        **gaps(logits, [threshold] * len(names), len(words), runtime.max_width, True),
    }


@torch.no_grad()
def classify(model, runtime, text, names):
    schema = model.create_schema().classification("category", names)
    batch = model.processor.collate_fn_inference([(text, schema)])
    ids = batch.input_ids[0].tolist()
    l_id = model.processor.tokenizer.convert_tokens_to_ids("[L]")
    l_pos = [j for j, i in enumerate(ids) if i == l_id and batch.mapped_indices[0][j][0] == "schema"]
    hidden = model.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state[0]
    logits = model.classifier(hidden[l_pos]).squeeze(-1)
    probabilities = torch.softmax(logits, -1)
    said = model.classify_text(text, {"category": names}, include_confidence=True)["category"]
    if said["label"] != names[int(logits.argmax())] or abs(said["confidence"] - float(probabilities.max())) > 1e-6:
        sys.exit(f"gliner2 classifies {text!r} as {said}, the logits are {logits.tolist()}")
    answer = {"native": {"ids": ids, "l_pos": l_pos, "logits": [plain(v) for v in logits], "probabilities": [plain(v) for v in probabilities], "best": said["label"]}}
    try:
        ((best, probability),) = runtime.classify(text, names).items()
        ids, _, l_pos = runtime._build_classification_input(text, names)
        answer["onnx"] = {"ids": ids[0].tolist(), "l_pos": l_pos, "best": best, "probability": plain(probability)}
    except Exception as e:
        answer["onnx"] = raised(e)
    return answer


def slim(folder):
    """Makes a model's files small without changing what they say: compact JSON, short names of what lies between a graph's input and output."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")

    def rename(graph, names, count):
        for node in graph.node:
            node.name = f"n{next(count)}"
            for k, v in enumerate(node.input):
                node.input[k] = names.get(v, v)
            for k, v in enumerate(node.output):
                node.output[k] = names.setdefault(v, f"v{next(count)}") if v else v
            for a in node.attribute:
                if a.HasField("g"):
                    rename(a.g, dict(names), count)
        for o in graph.output:
            o.name = names.get(o.name, o.name)
        del graph.value_info[:]

    for path in sorted((folder / "onnx").iterdir()):
        model = onnx_files.load(str(path))
        rename(model.graph, {o.name: o.name for o in model.graph.output}, itertools.count())
        onnx_files.checker.check_model(model)
        onnx_files.save(model, str(path))


def cases(texts):
    """Returns what is asked of the models: text, labels, threshold, model."""
    for t in texts:
        for model in MODELS:
            yield t["id"], "danish", 0.5, model
    for labels in LABELS:
        for id in SOME if labels != "danish" else []:
            for model in MODELS:
                yield id, labels, 0.5, model
    for id in SOME:
        for threshold in 0.1, 0.85:
            for model in MODELS:
                yield id, "danish", threshold, model
    for id in TIES:
        yield id, "danish", 0.5, "tied"


def make(folder):
    """Makes the models and the goldens in a folder."""
    texts = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))
    by_id = {t["id"]: text_of(t) for t in texts}
    loaded, runtimes, half = {}, {}, {}
    for name in MODELS:
        print(f"making {name}", flush=True)
        # The checkpoint goes through a folder, as others' do.
        with tempfile.TemporaryDirectory() as checkpoint, redirect_stderr(io.StringIO()):
            with redirect_stdout(io.StringIO()):
                build(name, texts).save_pretrained(checkpoint)
            loaded[name] = export_gliner2.load(checkpoint)
            half[name] = {n: float(f"{d:.1g}") for n, d in export_gliner2.export(loaded[name], folder / name)["fp16"].items()}
        slim(folder / name)
        runtimes[name] = GLiNER2ONNXRuntime(folder / name)
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        build("tiny", texts).save_pretrained(scratch)
        loaded["tied"] = export_gliner2.load(scratch)
        with torch.no_grad():
            last = loaded["tied"].count_embed.projector[-1]
            last.weight *= TIED
            last.bias *= TIED
        tied = Path(scratch) / "tied"
        export_gliner2.export(loaded["tied"], tied, "fp32")
        slim(tied)
        (folder / "tied").mkdir()
        shutil.copy(tied / "onnx" / "count_embed.onnx", folder / "tied")
        runtimes["tied"] = GLiNER2ONNXRuntime(tied)
    records = [{"record": "header", "versions": {p: importlib.metadata.version(p) for p in PACKAGES}, "fp16": half}]
    records += [{"record": "labels", "id": id, "labels": labels_of(id)} for id in LABELS]
    prompts = {}
    answers = []
    for id, labels, threshold, name in cases(texts):
        print(f"{id}, {labels}, {threshold}, {name}", flush=True)
        model, runtime, text = loaded[name], runtimes[name], by_id[id]
        measured = measure(model, text, labels)
        if (id, labels) not in prompts:
            own = labels_of(labels)
            asked = text.strip() and not any("threshold" in label or "description" in label for label in own)
            prompts[id, labels] = {
                "record": "prompt", "text": id, "labels": labels, "native": measured["prompt"],
                "onnx": onnx_prompt(runtime, text, [label["name"] for label in own]) if asked else None,
            }  # fmt: skip
        elif prompts[id, labels]["native"] != measured["prompt"]:
            sys.exit(f"the models tokenise {id} in different ways")
        full = id in FULL and labels == "danish" and threshold == 0.5
        answers.append({
            "record": "case", "text": id, "labels": labels, "model": name, "threshold": threshold,
            "native": native(model, text, labels, threshold, measured, full), "onnx": onnx(runtime, text, labels, threshold),
        })  # fmt: skip
    for t in texts:
        text = text_of(t)
        words = measure(loaded["tiny"], text, "one")["words"]
        split = [[w, s, e] for w, s, e in loaded["tiny"].processor.word_splitter(text)]
        suffix = "" if text.endswith((".", "!", "?")) else "."
        records.append({"record": "text", **t, "native_text_suffix": suffix, "native_words": words, "onnx_words": split})
    records += [*prompts.values(), *answers]
    names = [c["name"] for c in json.loads(CATEGORIES.read_text(encoding="utf-8"))]
    for id in CLASSIFIED:
        for name in MODELS:
            records.append({"record": "classify", "text": id, "model": name, "labels": names, **classify(loaded[name], runtimes[name], by_id[id], names)})
    with open(folder / "goldens.jsonl.gz", "wb") as f, gzip.GzipFile(filename="", mode="wb", fileobj=f, mtime=0, compresslevel=9) as z:
        for r in records:
            z.write((json.dumps(r, ensure_ascii=False, separators=(",", ":")) + "\n").encode())
    report(records, folder)


def report(records, folder):
    answers = [r for r in records if r["record"] == "case"]
    for name in [*MODELS, "tied"]:
        of = [a for a in answers if a["model"] == name]
        found = [len(a["native"]["entities"]) for a in of]
        close = [a["text"] for a in of if any(a["native"][g] is not None and a["native"][g] < 1e-5 for g in ("gap", "order_gap"))]
        closed = sum(a["native"]["count"] == 0 for a in of)
        print(f"{name}: {len(of)} cases, {sum(found)} entities, {closed} closed by the gate, gap < 1e-5 in {close}")
        print(f"  onnx raises in {[(a['text'], a['onnx']['error'][:60]) for a in of if a['onnx'] and 'error' in a['onnx']]}")
    for part in [*MODELS, "tied", "goldens.jsonl.gz"]:
        path = folder / part
        files = [path] if path.is_file() else sorted(f for f in path.rglob("*") if f.is_file())
        print(f"{part}: {sum(f.stat().st_size for f in files):,} bytes in {len(files)} files")


def differ(a, b, path=""):
    """Returns where two JSON values differ by more than rounding."""
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [d for k in a if k not in ("versions", "fp16", "gap", "order_gap", "data") for d in differ(a[k], b[k], f"{path}.{k}")] + (
            differ(numbers(a["data"]), numbers(b["data"]), path + ".data") if "data" in a else []
        )
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b)) for d in differ(x, y, f"{path}[{i}]")]
    if isinstance(a, float) and isinstance(b, (int, float)) or isinstance(b, float) and isinstance(a, int):
        return [] if abs(a - b) <= 1e-4 * max(1, abs(a)) else [f"{path}: {a} against {b}"]
    return [] if a == b else [f"{path}: {a!r} against {b!r}"]


def numbers(data):
    return np.frombuffer(base64.b64decode(data), "<f4").tolist()


def check():
    """Makes everything elsewhere, and compares."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        ours, theirs = ([json.loads(line) for line in gzip.open(f / "goldens.jsonl.gz", "rt", encoding="utf-8")] for f in (Path(folder), HERE))
        differences = differ(theirs, ours)
        for name in MODELS:
            for file in sorted((Path(folder) / name).glob("*.json")):
                if hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256((HERE / name / file.name).read_bytes()).digest():
                    differences.append(f"{name}/{file.name} differs")
    print("\n".join(differences[:20]) or "the same")
    return 1 if differences else 0


def main():
    p = argparse.ArgumentParser(description="Make the random models and the goldens of gliner2; the script's first lines say of what form.")
    p.add_argument("--check", action="store_true", help="make them elsewhere and compare, up to rounding")
    p.add_argument("--checkpoint", nargs=2, metavar=("MODEL", "DIR"), help="only save the checkpoint of tiny or small")
    a = p.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    onnxruntime.set_default_logger_severity(4)  # what it raises is in the goldens
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    if a.checkpoint:
        texts = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))
        with redirect_stdout(io.StringIO()):
            build(a.checkpoint[0], texts).save_pretrained(a.checkpoint[1])
        return 0
    if a.check:
        return check()
    for part in [*MODELS, "tied"]:
        shutil.rmtree(HERE / part, ignore_errors=True)
    make(HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
