"""The e5 model of our fp32 graph in sentence-transformers on torch."""
import numpy as np
import onnx
import sentence_transformers
import torch
import transformers
from onnx import numpy_helper
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules

versions = f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}"


def words(tensors):
    """The words' embeddings: blocks of 32 weights of 4 bits, the even ones low, around 8, with a scale."""
    packed, scale = tensors["emb.word.q"], tensors["emb.word.scale"]
    q = np.stack([packed & 15, packed >> 4], axis=2).reshape(packed.shape[0], -1).astype(np.float32) - 8
    return q * np.repeat(scale, q.shape[1] // scale.shape[1], axis=1)


def bert(graph, tensors, pad):
    layers = 1 + max(int(n[1 : n.index(".")]) for n in tensors if n[0] == "l" and n[1].isdigit())
    positions, hidden = tensors["emb.position"].shape
    epsilon = next(t.f for n in graph.node if n.op_type == "LayerNormalization" for t in n.attribute if t.name == "epsilon")
    heads = next(t.i for n in graph.node if n.op_type == "MultiHeadAttention" for t in n.attribute if t.name == "num_heads")
    config = transformers.BertConfig(
        vocab_size=tensors["emb.word.q"].shape[0], hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=tensors["l0.fi.b"].shape[0],
        max_position_embeddings=positions, type_vocab_size=1, layer_norm_eps=epsilon, hidden_act="gelu", pad_token_id=pad,
    )
    state = {"embeddings.word_embeddings.weight": words(tensors), "embeddings.position_embeddings.weight": tensors["emb.position"]}
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


def load(graph, tokenizer, pad, folder, threads):
    """The model of files, put together in a folder, with so many threads."""
    torch.set_num_threads(threads)
    transformers.logging.set_verbosity_error()  # the pooler, which nothing here uses, has no weights
    transformers.logging.disable_progress_bar()
    graph = onnx.load(graph).graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    longest, width = tensors["emb.position"].shape
    bert(graph, tensors, pad).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(tokenizer_file=tokenizer, pad_token="<pad>", model_max_length=longest).save_pretrained(folder)
    return SentenceTransformer(modules=[modules.Transformer(folder), modules.Pooling(width, pooling_mode="mean"), modules.Normalize()], device="cpu")
