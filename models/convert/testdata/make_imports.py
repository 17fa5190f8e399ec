"""Writes imports/: classifiers as PyTorch, scikit-learn and ONNX's own tools save them, and imports.json: what these libraries answer.

Run with the packages of requirements.txt from this folder. Every file is a linear classifier of 16 numbers, or one that cannot be imported.
"""
import json
import os
import pickle
import pathlib

import numpy
import onnx
import onnx.numpy_helper
import torch
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

DIM = 16
categories = json.loads(pathlib.Path("../../../schemas/categories.json").read_text())
names, codes = [c["name"] for c in categories], [c["code"] for c in categories]
random = numpy.random.default_rng(5)
vectors = random.normal(size=(4, DIM)).astype(numpy.float32) / 4
folder = pathlib.Path("imports")
folder.mkdir(exist_ok=True)
cases = []


def case(file, probabilities, labels=None):
    """labels are the columns' categories, where they are not all in index order."""
    by_index = numpy.zeros((len(vectors), len(names)))
    for column, label in enumerate(labels or names):
        by_index[:, names.index(label)] = probabilities[:, column]
    cases.append({"file": file, "lacks": [n for n in names if n not in (labels or names)], "probabilities": [[round(float(p), 8) for p in row] for row in by_index]})


# PyTorch. A state_dict, and what people put around it.
torch.manual_seed(3)
linear = torch.nn.Linear(DIM, len(names))
with torch.no_grad():
    linear.weight.mul_(8)
    linear.bias.mul_(4)


def answer(weight, bias):
    scores = torch.from_numpy(vectors).double() @ weight.double().T + bias.double()
    return torch.softmax(scores, 1).detach().numpy()


def save(file, saved, weight=linear.weight, bias=linear.bias, **settings):
    torch.save(saved, folder / file, **settings)
    if weight is not None:
        case(file, answer(weight, bias))


state = linear.state_dict()
save("float32.pt", state)
save("protocol5.pt", state, pickle_protocol=5)
doubles = {k: v.double() * 1.1 for k, v in state.items()}
save("float64.pt", doubles, doubles["weight"], doubles["bias"])
halves = {k: v.half() for k, v in state.items()}
save("float16.pt", halves, halves["weight"], halves["bias"])
brains = {k: v.bfloat16() for k, v in state.items()}
save("bfloat16.pt", brains, brains["weight"], brains["bias"])
# A transposed view inside of a larger storage, and a bias that is every third number of another.
wide = torch.zeros(DIM + 3, len(names))
wide[2:2 + DIM] = linear.weight.detach().T
apart = torch.zeros(3 * len(names) + 1)
apart[1::3] = linear.bias.detach()
save("views.pt", {"weight": wide[2:2 + DIM].T, "bias": apart[1::3]})
save("parameters.pt", {"fc.weight": linear.weight, "fc.bias": linear.bias})
save("unbiased.pt", {"module.weight": state["weight"]}, bias=torch.zeros(len(names)))
optimizer = torch.optim.AdamW(linear.parameters(), lr=1e-3)
for p in linear.parameters():
    p.grad = torch.zeros_like(p)
kept = {k: v.clone() for k, v in state.items()}
optimizer.step()
linear.load_state_dict(kept)
save("checkpoint.pt", {
    "epoch": 15, "loss": 0.75, "best": None, "classes": names, "shuffled": True, "size": (DIM, len(names)),
    "model_state_dict": {"module.classifier." + k: v for k, v in kept.items()}, "optimizer_state_dict": optimizer.state_dict(),
})
# None of these can be imported.
save("module.pt", linear, None)
save("layers.pt", torch.nn.Sequential(torch.nn.Linear(DIM, 4), torch.nn.ReLU(), torch.nn.Linear(4, len(names))).state_dict(), None)
save("legacy.pt", state, None, _use_new_zipfile_serialization=False)


class Hostile:
    def __reduce__(self):
        return os.system, ("touch hostile-was-run",)


save("hostile.pt", {"weight": Hostile()}, None)
(folder / "plain.pkl").write_bytes(pickle.dumps({"weight": [1.0]}))

# scikit-learn through skl2onnx. Rows of categories that are far enough apart to differ.
centres = random.normal(size=(len(names), DIM))
numbers = numpy.arange(660) % len(names)
examples = (centres[numbers] + random.normal(size=(660, DIM))).astype(numpy.float32) / 4


def fit(file, model, labels, **settings):
    rows = numpy.array([label is not None for label in (labels[n] for n in numbers)])
    given = numpy.array([labels[n] for n in numbers[rows]])
    model.fit(examples[rows], given)
    saved = to_onnx(model, examples[:1], **({"options": {id(model): settings}} if settings else {}))
    (folder / file).write_bytes(saved.SerializeToString())
    return model


def sklearn_case(file, model, labels, **settings):
    fit(file, model, labels, **settings)
    case(file, model.predict_proba(vectors), [names[labels.index(label)] for label in model.classes_])


sklearn_case("sklearn_ints.onnx", LogisticRegression(max_iter=500), list(range(len(names))))
sklearn_case("sklearn_names.onnx", LogisticRegression(max_iter=500), [None if i in (3, 17) else n for i, n in enumerate(names)])
# Numbers in units of their own, as a StandardScaler is for.
sklearn_case("sklearn_scaler.onnx", make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), [int(c) for c in codes])
sklearn_case("sklearn_scores.onnx", LogisticRegression(max_iter=500), names, raw_scores=True)
sklearn_case("sklearn_tensor.onnx", LogisticRegression(max_iter=500), codes, zipmap=False)
fit("sklearn_ovr.onnx", OneVsRestClassifier(LogisticRegression()), list(range(len(names))))
fit("sklearn_two.onnx", LogisticRegression(), [i % 2 for i in range(len(names))])
fit("sklearn_svc.onnx", LinearSVC(), list(range(len(names))))

# Graphs, as torch.onnx writes them and by hand.
torch.onnx.export(linear, torch.zeros(1, DIM), folder / "torch_gemm.onnx", dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
case("torch_gemm.onnx", answer(linear.weight, linear.bias))
weight, bias = linear.weight.detach().numpy(), linear.bias.detach().numpy()


def graph(file, nodes, constants, element=onnx.TensorProto.FLOAT, opset=17, domains=()):
    x = onnx.helper.make_tensor_value_info("x", element, ["n", DIM])
    y = onnx.helper.make_tensor_value_info("y", element, ["n", len(names)])
    made = onnx.helper.make_graph(
        [onnx.helper.make_node(*n[:3], **(n[3] if len(n) > 3 else {})) for n in nodes], "linear", [x], [y],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", opset), *domains], ir_version=8)
    onnx.checker.check_model(model)
    (folder / file).write_bytes(model.SerializeToString())


graph("matmul_add.onnx", [("MatMul", ["x", "w"], ["xw"]), ("Add", ["xw", "b"], ["s"]), ("LogSoftmax", ["s"], ["y"], {"axis": 1})], {"w": weight.T.copy(), "b": bias})
case("matmul_add.onnx", answer(linear.weight, linear.bias))
graph("gemm_doubles.onnx", [
    ("Cast", ["x"], ["d"], {"to": onnx.TensorProto.DOUBLE}), ("Mul", ["d", "two"], ["m"]), ("Gemm", ["m", "w", "b"], ["s"], {"alpha": .5, "beta": 3., "transB": 1}),
    ("Softmax", ["s"], ["y"], {"axis": -1})],
    {"two": numpy.array(2.), "w": weight.astype(numpy.float64), "b": bias.astype(numpy.float64)[None] / 3}, element=onnx.TensorProto.DOUBLE)
case("gemm_doubles.onnx", answer(linear.weight, linear.bias))

with open("imports.json", "w") as file:
    json.dump({"dim": DIM, "vectors": vectors.tolist(), "cases": cases}, file, separators=(",", ":"))
    file.write("\n")
