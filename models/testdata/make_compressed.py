"""Writes compressed.json: weights that numpy pruned and rounded, by the rules of torch.nn.utils.prune.global_unstructured and of int8.

Run with numpy 2 from this folder. PyTorch prunes round(share × size) weights over all matrices together, Python's round
being half to even, those of the least absolute value; which of equal ones it leaves open, here the first.
"""
import json

import numpy

random = numpy.random.default_rng(11)
cases = []
for rows, dim, share in ((3, 5, .2), (5, 5, .5), (5, 5, .1), (3, 5, .5), (22, 16, .2), (4, 6, 0), (4, 6, 1)):
    # Rounding to tenths makes many equal; a row of zeros and one far larger than the others.
    weights = numpy.round(random.normal(size=(rows, dim)), 1).astype(numpy.float32)
    weights[1] = 0
    weights[2] *= 40
    count = round(share * weights.size)
    mask = numpy.ones(weights.size, dtype=bool)
    mask[numpy.argsort(numpy.abs(weights).ravel(), kind="stable")[:count]] = False
    pruned = weights * mask.reshape(weights.shape)

    def bytes_of(largest):
        steps = numpy.divide(weights.astype(numpy.float64) * 127, largest, out=numpy.zeros(weights.shape), where=largest > 0)
        return (numpy.sign(steps) * numpy.floor(numpy.abs(steps) + .5)).astype(int)

    largest = numpy.abs(weights).max(1, keepdims=True).astype(numpy.float64)
    cases.append({
        "rows": rows, "dim": dim, "share": share, "weights": weights.ravel().tolist(), "pruned": pruned.ravel().tolist(), "mask": mask.astype(int).tolist(),
        "rows8": bytes_of(largest).ravel().tolist(), "tensor8": bytes_of(numpy.full_like(largest, largest.max())).ravel().tolist(),
    })
with open("compressed.json", "w") as file:
    json.dump(cases, file, separators=(",", ":"))
    file.write("\n")
