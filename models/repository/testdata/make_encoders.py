#!/usr/bin/env python3
"""Writes encoders/, tokens.json and vectors.json: tiny encoders of random weights and what sentence-transformers computes with them.

    python3 -m venv /tmp/encoders && /tmp/encoders/bin/pip install -r models/repository/testdata/requirements.txt
    cd models/repository/testdata && /tmp/encoders/bin/python make_encoders.py

encoders/ARCHITECTURE/base holds what all of an architecture share (graph, tokenizer, configuration), the folders beside it what sentence-transformers
saves for each way of pooling (the tokenizers that are there are kept, because training one twice gives two); base and one of them together are a repository, which sentence-transformers opens for the vectors.
"""
import hashlib
import json
import pathlib
import shutil
import tempfile

import onnx
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
OUT = HERE / "encoders"
MAX_TOKENS = 40
HIDDEN = 32

CORPUS = """
Vi søger en erfaren sygeplejerske til vores nattevagter på Ærø. Du skal have ordnede papirer og gode samarbejdsevner.
Murer og tømrer til renovering af ældre ejendomme i København og omegn søges straks.
Kok til køkken med fokus på økologiske råvarer, smørrebrød og dansk gastronomi.
Pædagogmedhjælper til børnehave, gerne med erfaring fra arbejde med børn i alderen tre til seks år.
Softwareudvikler med kendskab til databaser, netværk og sikkerhed. Løn efter kvalifikationer.
Chauffør med stort kørekort til kørsel i hele Skandinavien. Arbejdstiden er fleksibel.
Lagermedarbejder, rengøringsassistent, vagt og butiksassistent til fuldtid eller deltid.
Underviser i matematik og naturvidenskab på gymnasialt niveau, ansøgningsfrist den femtende august.
Regnskabschef med ansvar for budget, årsregnskab og ledelse af otte medarbejdere.
""".strip().splitlines()

PIECES = [
    "sygeplejerske", "Ærø", "smørrebrød", "på", "arbejde", "KØBENHAVN", "kok", "7.500 kr.", "a@b.dk", "24/7", "C++", "løn", "år", " ", "  ", "\t", "\n",
    "pa\u030a", "A\u030arhus", "\u00e5", "\u00f8", "\u00e6", "o\u0308", "e\u0301\u0323", "n\u0303", "🙂", "👩🏽\u200d🍳", "🇩🇰", "❤\ufe0f", "\u200b", "\u200d", "\ufeff",
    "\u00ad", "\u2060", "\u00a0", "\u3000", "\u2028", "ﬁ", "½", "①", "Ⅷ", "ß", "İ", "ı", "ΣΑΣ", "Привет", "你好", "かな", "한국", "שלום", "مرحبا", "हिन्दी", "\u0301", "\u20dd",
    "-", "—", "…", "«", "»", "\"", "'", "(", ")", "_", "#", "%", "&", "<", ">", "[", "]", "\\", "/", "|", "~", "^", "`", "$", "€", "§", "x", "Q", "0", "9",
    "[SEP]", "<s>", "</s>", "[MASK]", "<mask>", "<unk>", "▁", "##", "\u0007", "\u007f", "\ufffd", "𝔘", "𐍈", "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk",
]


def hard_texts(count, seed):
    """Texts that the Go test makes as well: SplitMix64 chooses how many pieces and which."""
    state, mask = seed, (1 << 64) - 1

    def below(n):
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) % n

    texts = []
    for i in range(count):
        length = below(24) if i % 20 else 600 + below(200)
        texts.append("".join(PIECES[below(len(PIECES))] for _ in range(length)))
    return texts


TEXTS = [
    "", " ", "Kok", "kok", "Sygeplejerske til nattevagter på Ærø", "smørrebrødsjomfru søges til køkken", "på gården i Århus", "pa\u030a ga\u030arden i A\u030arhus",
    "👩🏽\u200d🍳 kok 🙂 til 🇩🇰", "mu\u200brer\u200d og \ufefftømrer", "e\u0301\u0323 o\u0308 n\u0303 \u0301", "\n\tLøn:\r\n 7.500 kr. / md.  ", "[SEP] </s> [MASK] <mask> <unk>",
    "你好 Привет مرحبا हिन्दी", "C++ & C# (24/7) — «a@b.dk» … 100 %", "STORE BOGSTAVER ÆØÅ ÉÈ İ ẞ", "ﬁ ½ ① Ⅷ 𝔘 𐍈", "kok " * 200, " ".join(CORPUS), "ab" * 120, "x",
]


def kept(name):
    """The tokenizer that is there, or None."""
    path = OUT / name / "base" / "tokenizer.json"
    if not path.exists():
        return None
    t = Tokenizer.from_file(str(path))
    t.no_truncation()
    t.no_padding()
    return t


def wordpiece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.decoder = decoders.WordPiece()
    return t


def bert():
    t = kept("bert") or wordpiece()
    fast = transformers.BertTokenizerFast(tokenizer_object=t, strip_accents=False)
    config = transformers.BertConfig(vocab_size=t.get_vocab_size(), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=MAX_TOKENS, pad_token_id=0, initializer_range=.3)
    return fast, transformers.BertModel(config, add_pooling_layer=False)


def unigram(special, template, ids, mask):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.Replace(Regex("[\\x{200b}\\x{feff}\\x{ad}]"), ""), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    t.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=320, special_tokens=special, unk_token="<unk>", show_progress=False))
    t.add_special_tokens([AddedToken(mask, lstrip=True, special=True)])
    t.post_processor = processors.TemplateProcessing(single=template, pair=f"{template} </s> $B </s>", special_tokens=ids)
    t.decoder = decoders.Metaspace()
    return t


def xlm_roberta():
    t = kept("xlm-roberta") or unigram(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", [("<s>", 0), ("</s>", 2)], "<mask>")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>")
    config = transformers.XLMRobertaConfig(vocab_size=t.get_vocab_size(), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=MAX_TOKENS + 2, type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, initializer_range=.3)
    return fast, transformers.XLMRobertaModel(config, add_pooling_layer=False)


def mpnet():
    t = kept("mpnet") or unigram(["<s>", "<pad>", "</s>", "<unk>"], "<s> $A </s>", [("<s>", 0), ("</s>", 2)], "<mask>")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=t, bos_token="<s>", cls_token="<s>", eos_token="</s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>", model_input_names=["input_ids", "attention_mask"])
    config = transformers.MPNetConfig(vocab_size=t.get_vocab_size(), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, max_position_embeddings=MAX_TOKENS + 2, pad_token_id=1, bos_token_id=0, eos_token_id=2, initializer_range=.3)
    return fast, transformers.MPNetModel(config, add_pooling_layer=False)


class Tokens(torch.nn.Module):
    """The token vectors alone."""

    def __init__(self, model, names):
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *inputs):
        return self.model(**dict(zip(self.names, inputs))).last_hidden_state


def export(model, names, path):
    ids = torch.randint(5, 100, (2, 7))
    mask = torch.ones_like(ids)
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}
    path.parent.mkdir(parents=True)
    torch.onnx.export(Tokens(model, names), tuple(inputs[n] for n in names), str(path), input_names=names, output_names=["last_hidden_state"],
                      dynamic_axes={n: {0: "rows", 1: "tokens"} for n in [*names, "last_hidden_state"]}, opset_version=17, dynamo=False)


PROMPTS = {"query": "query: ", "instruct": "Instruct: Classify the following extracted texts of occupation, skills and tasks from a Danish job vacancy into job category\nQuery: "}
WAYS = {
    "mean": ("mean", None, False, None), "mean-normalize": ("mean", None, True, None), "cls": ("cls", None, False, None), "max": ("max", None, False, None),
    "weightedmean": ("weightedmean", None, True, None), "lasttoken": ("lasttoken", None, True, None), "left": ("lasttoken", None, False, None),
    "dense": ("mean", torch.nn.Tanh(), False, None), "dense-normalize": ("cls", torch.nn.Identity(), True, None), "prompt": ("mean", None, True, "query"),
    "lowercase": ("mean", None, False, None),
}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def repository(folder, transformer, name, way):
    """Writes what a way of pooling adds to the base."""
    pooling, activation, normalize, prompt = WAYS[way]
    modules = [transformer, Pooling(HIDDEN, pooling_mode=pooling)]
    if activation is not None:
        modules.append(Dense(HIDDEN, 16, activation_function=activation))
    if normalize:
        modules.append(Normalize())
    saved, out, base = folder / "saved", OUT / name / way, OUT / name / "base"
    SentenceTransformer(modules=modules, device="cpu", prompts=PROMPTS if prompt else None, default_prompt_name=prompt).save(str(saved))
    for path in sorted(saved.rglob("*")):
        inside = path.relative_to(saved)
        if path.is_file() and inside.parts[0] not in ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "README.md"):
            (out / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, out / inside)
    if not (base / "tokenizer.json").exists():
        tokenizer = json.loads((saved / "tokenizer.json").read_text(encoding="utf-8"))
        if name == "bert":  # as in many repositories: the file cuts and pads by itself, and not as the encoder needs
            tokenizer["truncation"] = {"direction": "Right", "max_length": 16, "strategy": "LongestFirst", "stride": 0}
            tokenizer["padding"] = {"strategy": {"Fixed": 16}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
        write(base / "tokenizer.json", tokenizer)
        shutil.copy(saved / "config.json", base / "config.json")
        shutil.copy(saved / "tokenizer_config.json", base / "tokenizer_config.json")
    if way == "max":  # the fields of versions before 6
        write(out / "1_Pooling" / "config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True, "pooling_mode_mean_sqrt_len_tokens": False})
    if way in ("max", "lowercase"):
        write(out / "sentence_bert_config.json", {"max_seq_length": 24, "do_lower_case": way == "lowercase"})
    if way == "left":
        config = json.loads((base / "tokenizer_config.json").read_text(encoding="utf-8"))
        write(out / "tokenizer_config.json", config | {"padding_side": "left", "truncation_side": "left"})
    shutil.rmtree(saved)


def external():
    """The BERT graph with its weights in a file beside it."""
    path = OUT / "external" / "external.onnx"
    shutil.rmtree(path.parent, ignore_errors=True)
    path.parent.mkdir(parents=True)
    onnx.save_model(onnx.load(OUT / "bert" / "base" / "onnx" / "model.onnx"), path, save_as_external_data=True, location="external.onnx.data", size_threshold=256)


def main():
    torch.set_num_threads(1)
    texts = hard_texts(2000, 7)
    tokens = {"count": len(texts), "seed": 7, "pieces": PIECES, "texts": hashlib.sha256("\0".join(texts).encode()).hexdigest(), "ids": {}}
    lines = []
    for name, make, names in (("bert", bert, ["input_ids", "attention_mask", "token_type_ids"]), ("xlm-roberta", xlm_roberta, ["input_ids", "attention_mask"]), ("mpnet", mpnet, ["input_ids", "attention_mask"])):
        torch.manual_seed(3)
        fast, model = make()
        shutil.rmtree(OUT / name, ignore_errors=True)
        for p in model.parameters():  # a layer's norm and biases are not random by themselves
            if p.dim() == 1:
                p.data += .1 * torch.randn_like(p)
        model.eval()
        base = OUT / name / "base"
        export(model, names, base / "onnx" / "model.onnx")
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            model.save_pretrained(folder / "model")
            fast.save_pretrained(folder / "model")
            transformer = Transformer(str(folder / "model"), max_seq_length=MAX_TOKENS)
            for way in WAYS:
                repository(folder, transformer, name, way)
                whole = folder / "whole"
                shutil.copytree(base, whole)
                shutil.copytree(OUT / name / way, whole, dirs_exist_ok=True)
                shutil.copy(folder / "model" / "model.safetensors", whole)
                encoder = SentenceTransformer(str(whole), device="cpu")
                prompt = PROMPTS.get(WAYS[way][3], "")
                golden = []
                for text in TEXTS:
                    count = int(encoder.preprocess([prompt + text])["attention_mask"].sum())
                    vector = encoder.encode([text], convert_to_numpy=True)[0]
                    golden.append(json.dumps({"tokens": count, "vector": [float(f"{x:.6g}") for x in vector]}, separators=(",", ":")))
                lines.append(f'{json.dumps(name + "/" + way)}: [\n' + ",\n".join(golden) + "]")
                if way == "mean":
                    tokenizer = encoder.tokenizer
                    tokenizer.model_max_length = 1 << 20
                    tokens["ids"][name] = "".join(hashlib.sha256(" ".join(map(str, tokenizer(t, truncation=False)["input_ids"])).encode()).hexdigest()[:8] for t in texts)
                shutil.rmtree(whole)
    external()
    (HERE / "tokens.json").write_text(json.dumps(tokens, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")
    (HERE / "vectors.json").write_text(f'{{"texts": {json.dumps(TEXTS)},\n"encoders": {{\n' + ",\n".join(lines) + "\n}}\n", encoding="utf-8")


main()
