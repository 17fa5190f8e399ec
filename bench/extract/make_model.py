"""Makes a GLiNER2 model as large as fastino/gliner2-multi-v1 with random weights: a checkpoint, as gliner2 reads it, and its export. What a text costs does not depend on weights.

It has mDeBERTa-v3-base's shape: 12 layers, 768 wide, 12 heads, 3,072 in between, 250,000 word pieces. The tokenizer is the multilingual Unigram of the default encoder, as
mDeBERTa's own is in no package. The label embeddings are scaled so that a few in a thousand spans of the samples reach .5, and the count gate is open.
"""
import argparse
import io
import json
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import torch
from transformers import DebertaV2Config, PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples" / "vacancies.jsonl"
sys.path.insert(0, str(ROOT / "pipeline" / "extract" / "gliner2" / "testdata"))
import make_goldens  # noqa: E402
from make_goldens import export_gliner2  # noqa: E402

p = argparse.ArgumentParser()
p.add_argument("--tokenizer", required=True, type=Path)
p.add_argument("--dir", required=True, type=Path, help="gets checkpoint/ and model/")
a = p.parse_args()
checkpoint, made = a.dir / "checkpoint", a.dir / "model"
for folder in checkpoint, made:
    shutil.rmtree(folder, ignore_errors=True)

torch.manual_seed(1)
tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(a.tokenizer), bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
encoder = DebertaV2Config(
    hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072, relative_attention=True, position_buckets=256, max_relative_positions=-1,
    max_position_embeddings=512, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False, type_vocab_size=0, layer_norm_eps=1e-7,
    vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
)  # fmt: skip
with redirect_stdout(io.StringIO()):
    model = make_goldens.GLiNER2(make_goldens.ExtractorConfig(model_name="random/base", max_width=8, counting_layer="count_lstm"), encoder_config=encoder, tokenizer=tokenizer).eval()
with torch.no_grad():
    for name, weight in model.encoder.named_parameters():
        if name.endswith("attention.output.dense.weight"):
            weight *= 0.5  # or 12 random layers make all words of a text alike
    model.count_pred[-1].bias[0] = -100
with open(SAMPLES, encoding="utf-8") as f:
    make_goldens.spread(model, [json.loads(line)["text"] for line, _ in zip(f, range(8))], -5, 2)
with redirect_stdout(io.StringIO()):
    model.save_pretrained(str(checkpoint))
export_gliner2.export(export_gliner2.load(str(checkpoint)), made, "fp32")
