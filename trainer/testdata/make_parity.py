"""Writes parity.f32 and parity.json: what scikit-learn's LogisticRegression finds on 5,000 × 384 numbers in 22 unequal
categories. The test makes the same numbers, bit by bit, from the same formula, so that they need not be kept.

Run with the versions in requirements.txt from this folder. parity.f32 holds the coefficients (22 × 384) and intercepts
(22) without class weights, as little-endian float32; parity.json what both fits say of some examples.

The intercept of the rarest category (16 examples) moves the loss so little that lbfgs, ending at a gradient of 1e-8, is
1.2e-4 away from the best one. So the intercepts are those of newton-cg with tol 1e-12; all else is lbfgs.
"""
import json

import numpy
from sklearn.linear_model import LogisticRegression

N, DIM, CATEGORIES = 5000, 384, 22


def splitmix(start, n):
    """The first n numbers of splitmix64 from a state, as its 20 highest bits."""
    z = (numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)) + numpy.uint64(start)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> numpy.uint64(31))) >> numpy.uint64(44)).astype(numpy.int64)


# Category c has 3 parts and c * c more, so the rarest is 60 times rarer than the most frequent.
parts = numpy.cumsum([3 + c * c // 3 for c in range(CATEGORIES)])
categories = numpy.searchsorted(parts, splitmix(1, N) % parts[-1], side="right")
noise = splitmix(2, N * DIM).reshape(N, DIM)
centres = splitmix(3, CATEGORIES * DIM).reshape(CATEGORIES, DIM)
mean = splitmix(4, DIM)
# Whole numbers below 2**24 over a power of two: exact in float32. The mean is small, because scikit-learn, which does not
# centre, ends 0.03 away from the best intercept when it is as large as the spread.
wholes = 4 * noise + centres[categories] + mean - 3 * 2**20
vectors = (wholes / 2**22).astype(numpy.float32)

fits = []
for weights in (None, "balanced"):
    model = LogisticRegression(C=1, tol=1e-8, max_iter=100000, class_weight=weights).fit(vectors.astype(numpy.float64), categories)
    probabilities = model.predict_proba(vectors[:25].astype(numpy.float64))
    fits.append({
        "class_weights": weights or "none", "squares": (model.coef_ ** 2).sum(), "mean_coefficients": model.coef_.mean(axis=1).round(8).tolist(),
        "probabilities": probabilities.round(7).tolist(), "iterations": int(model.n_iter_[0]),
    })
    if weights is None:
        exact = LogisticRegression(C=1, tol=1e-12, max_iter=1000, solver="newton-cg").fit(vectors.astype(numpy.float64), categories)
        numpy.concatenate([model.coef_.ravel(), exact.intercept_]).astype("<f4").tofile("parity.f32")
with open("parity.json", "w") as file:
    counts = numpy.bincount(categories).tolist()
    json.dump({"sum": int(wholes.sum()), "counts": counts, "fits": fits}, file, separators=(",", ":"))
    file.write("\n")
