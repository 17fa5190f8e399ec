"""Writes logistic.json: what scikit-learn's LogisticRegression finds on 300 weighted examples of 8 numbers in 4 categories.

Run with scikit-learn 1.9 from this folder. scikit-learn penalises the sum of the losses by 1/C, jobstrom their mean by
l2, so C = 1 / (l2 × sum of the weights).
"""
import json

import numpy
from sklearn.linear_model import LogisticRegression

random = numpy.random.default_rng(7)
centres = random.normal(size=(4, 8))
categories = random.choice(4, size=300, p=[.4, .3, .2, .1])
vectors = numpy.round(centres[categories] + 1.5 * random.normal(size=(300, 8)) + .7, 4)
weights = numpy.round(random.uniform(.2, 2, size=300), 3)
fits = []
for l2 in (1e-1, 1e-2, 1e-3):
    model = LogisticRegression(C=1 / (l2 * weights.sum()), tol=1e-10, max_iter=10000).fit(vectors, categories, weights)
    # The intercept belongs to vectors that are not centred.
    fits.append({"l2": l2, "weights": model.coef_.round(7).tolist(), "intercept": model.intercept_.round(7).tolist()})
with open("logistic.json", "w") as file:
    json.dump({"vectors": vectors.tolist(), "categories": categories.tolist(), "weights": weights.tolist(), "fits": fits}, file, separators=(",", ":"))
    file.write("\n")
