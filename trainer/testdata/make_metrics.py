"""Writes metrics.json: what scikit-learn, scipy, statsmodels and numpy say of three seeded cases.

Run it from this folder with the versions in requirements.txt. The cases have categories that never occur, categories
that are never predicted (divisions by zero), equal probabilities (ties) and probabilities of 0. Probabilities are float32
numbers, as jobstrom's are, and counted in float64. Of equal probabilities jobstrom ranks the lower category first, as
numpy's argmax does; scikit-learn's top-k the higher one, so it gets the categories in reverse order.
"""
import json
import warnings

import numpy
from scipy.optimize import brentq
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar

warnings.filterwarnings("ignore")  # that categories are absent is the point


def bins_error(parts, confidence, right):
    return sum(abs(confidence[p].sum() - right[p].sum()) for p in parts) / len(right)


def temperature(scores, truth):
    def slope(inverse):
        p = numpy.exp((scores - scores.max(1, keepdims=True)) * inverse)
        return ((p * scores).sum(1) / p.sum(1) - scores[numpy.arange(len(truth)), truth]).sum()

    if slope(1 / .05) < 0:
        return .05  # the scores are never wrong: the lowest temperature that jobstrom gives
    return 1 / brentq(slope, 1 / 20, 1 / .05, xtol=1e-15, rtol=1e-14)


def case(seed, n, k, occurring, sharpness):
    random = numpy.random.default_rng(seed)
    truth = random.choice(occurring, size=n)
    logits = random.normal(size=(n, k)) * sharpness
    logits[numpy.arange(n), truth] += sharpness
    logits[:, k - 2] -= 4  # hardly ever predicted
    scores = numpy.round(logits, 3)
    p = numpy.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p[:: 7] = numpy.round(p[:: 7] * 4) / 4  # ties and zeros
    p[3] = 1 / k
    p = p.astype(numpy.float32).astype(numpy.float64)
    predicted = p.argmax(1)
    labels = numpy.arange(k)
    confidence, right = p.max(1), predicted == truth
    bin_of = numpy.minimum((confidence * 10).astype(int), 9)
    equal = [bin_of == b for b in range(10)]
    counts = numpy.array_split(numpy.argsort(confidence, kind="stable"), 10)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(truth, predicted, labels=labels, zero_division=0)
    # Rows that do not sum to 1 after rounding are what they are: neither side makes them sum to 1.
    figures = {
        "top1": metrics.accuracy_score(truth, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, predicted),
        "macro_f1": metrics.f1_score(truth, predicted, average="macro", zero_division=0),
        "weighted_f1": metrics.f1_score(truth, predicted, average="weighted", zero_division=0),
        "micro_f1": metrics.f1_score(truth, predicted, average="micro", zero_division=0),
        "top3": metrics.top_k_accuracy_score(k - 1 - truth, p[:, ::-1], k=3, labels=labels),
        "log_loss": metrics.log_loss(truth, p, labels=labels),
        "brier": float(((p - numpy.eye(k)[truth]) ** 2).sum(1).mean()),
        "ece": bins_error(equal, confidence, right),
        "adaptive_ece": bins_error(counts, confidence, right),
    }
    sums = p.sum(1)
    whole = numpy.abs(sums - 1) < 1e-6  # scikit-learn takes only rows that sum to 1
    assert abs(metrics.brier_score_loss(truth[whole], p[whole], labels=labels) - ((p - numpy.eye(k)[truth])[whole] ** 2).sum(1).mean()) < 1e-12
    other = numpy.where(random.random(n) < .3, predicted, random.integers(0, k, n))
    tests = []
    for size in (n, min(n, 60), 1):
        first, second = predicted[:size] == truth[:size], other[:size] == truth[:size]
        table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
        exact = bool(table[0][1] + table[1][0] < 25)
        test = mcnemar(table, exact=exact, correction=True)
        tests.append({"n": size, "exact": exact, "statistic": float(test.statistic), "p": float(test.pvalue)})
    return {
        "k": k, "truth": truth.tolist(), "probabilities": p.tolist(), "scores": scores.tolist(), "other": other.tolist(), "figures": figures,
        "precision": precision.tolist(), "recall": recall.tolist(), "f1": f1.tolist(), "support": support.tolist(),
        "confusion": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
        "bins": [[int(b.sum()), float(confidence[b].mean()) if b.any() else 0, float(right[b].mean()) if b.any() else 0] for b in equal],
        "temperature": temperature(scores, truth), "mcnemar": tests,
        "percentiles": [float(numpy.percentile(confidence, q)) for q in (0, 2.5, 50, 97.5, 100)],
    }


cases = [case(1, 150, 6, [0, 1, 2, 3, 4], 1.2), case(2, 9, 5, [0, 2], 2), case(3, 60, 22, list(range(0, 20)), 3)]
with open("metrics.json", "w") as file:
    json.dump(cases, file, separators=(",", ":"))
    file.write("\n")
