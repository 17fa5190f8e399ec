"""Writes categorical.json, numeric.json, embeddings.json and auc.json: what Evidently 0.7.21, scipy and scikit-learn say of seeded windows.

Run it from this folder with the versions in native/peers.txt. Windows are counts written out below, or made by whole-number recurrences (splitmix64) that the Go
test repeats, so that no values need to be committed; each window's sum is in the golden, which shows that both made the same.
"""
import json
import math
import os
import warnings

os.environ["DO_NOT_TRACK"] = "1"  # Evidently counts its users
import numpy
import pandas
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.calculations.stattests.tvd_stattest import _total_variation_distance
from evidently.legacy.core import ColumnType
from evidently.legacy.metrics.data_drift import embedding_drift_methods as methods
from scipy import stats
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import pairwise_kernels, roc_auc_score
from sklearn.model_selection import train_test_split
from statsmodels.stats.multitest import multipletests

warnings.filterwarnings("ignore")  # divisions by zero are the point


def number(x):
    """Ten digits, so that another machine's last bit changes no golden. JSON has no infinity: it is written as a word."""
    x = float(f"{x:.10g}")
    if math.isnan(x):
        raise ValueError("a golden is NaN")
    return x if math.isfinite(x) else "Inf"


def write(name, golden):
    with open(name, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(case) for case in golden) + "\n]\n")


def preset(reference, current, kind):
    """Evidently's own choice: its test, score, threshold and verdict."""
    test = get_stattest(reference, current, kind, None)
    result = test(reference, current, kind, None)
    return {"test": test.name, "score": number(result.drift_score), "threshold": result.actual_threshold, "drifted": bool(result.drifted)}


def evidently(name, reference, current, kind):
    return number(get_stattest(reference, current, kind, name)(reference.copy(), current.copy(), kind, None).drift_score)


def categorical(name, reference, current):
    r, c = (pandas.Series(numpy.repeat(numpy.arange(len(counts)), counts)) for counts in (reference, current))
    both = numpy.array([(a, b) for a, b in zip(reference, current) if a or b], float).T
    scaled = both[0] * both[1].sum() / both[0].sum()
    figures = {n: evidently(n, r, c, ColumnType.Categorical) for n in ("psi", "kl_div", "jensenshannon", "hellinger")}
    if figures["hellinger"] < 1e-7:
        figures["hellinger"] = 0.0  # 1 minus a sum that is 1 but for its last bit, under a root
    figures["total_variation"] = number(_total_variation_distance(r, c))
    golden = {"name": name, "reference": reference, "current": current, "preset": preset(r, c, ColumnType.Categorical)}
    if both.shape[1] > 1:
        figures["chisquare"] = evidently("chisquare", r, c, ColumnType.Categorical)
        figures["chisquare_statistic"] = number(stats.chisquare(both[1], scaled)[0])
        figures["g_statistic"], figures["g"] = map(number, stats.power_divergence(both[1], scaled, lambda_="log-likelihood"))
        if both[0].sum() == both[1].sum():
            assert math.isclose(figures["g"], evidently("g_test", r, c, ColumnType.Categorical), abs_tol=1e-12)
        figures["contingency_statistic"], figures["contingency"] = map(number, stats.chi2_contingency(both, correction=False)[:2])
        figures["contingency_g_statistic"], figures["contingency_g"] = map(number, stats.chi2_contingency(both, correction=False, lambda_="log-likelihood")[:2])
    if both.shape[1] <= 2:
        figures["z"] = evidently("z", r, c, ColumnType.Categorical)
    return golden | {"figures": figures}


# The design's imbalance, as shares of 22 categories in thousandths: see the shared design's known counts of 457,824 vacancies.
CATEGORIES = [1, 1, 2, 5, 8, 15, 20, 25, 30, 32, 35, 38, 40, 42, 45, 50, 60, 69, 73, 115, 136, 158]

CATEGORICAL = [
    ("two values", [430, 120], [300, 140]),
    ("two values, more than 1,000", [4300, 1200], [300, 140]),
    ("two values, exactly 1,000", [700, 300], [70, 30]),
    ("two values, 1,001", [701, 300], [70, 40]),
    ("two values, far apart", [900, 50], [20, 600]),
    ("two values, one missing", [0, 500], [3, 497]),
    ("two values, none in common", [40, 0], [0, 30]),
    ("constant", [50], [20]),
    ("constant among unknown values", [0, 50, 0], [0, 20, 0]),
    ("one row each", [1, 0], [0, 1]),
    ("five values", [100, 200, 150, 300, 50], [60, 80, 90, 110, 40]),
    ("five values, equal sizes", [100, 200, 150, 300, 50], [120, 180, 170, 290, 40]),
    ("five values, one new", [100, 200, 150, 0, 50], [60, 80, 90, 5, 40]),
    ("five values, one gone", [100, 200, 150, 300, 50], [60, 80, 0, 110, 40]),
    ("five values, one unknown", [100, 200, 150, 0, 50], [60, 80, 90, 0, 40]),
    ("five values, one rare and one new", [100000, 20000, 3, 0, 50], [6000, 800, 90, 5, 4]),
    ("five values, one rare, the same", [100000, 20000, 3, 1, 50], [100000, 20000, 3, 1, 50]),
    ("22 values, in proportion", [10 * c for c in CATEGORIES], [c for c in CATEGORIES]),
    ("22 values, small window", [10 * c for c in CATEGORIES], [0, 0, 0, 1, 0, 3, 4, 2, 8, 6, 5, 9, 8, 7, 12, 9, 11, 13, 16, 21, 30, 35]),
    ("22 values, few rows", [0, 0, 0, 1, 0, 3, 4, 2, 8, 6, 5, 9, 8, 7, 12, 9, 11, 13, 16, 21, 30, 35], [1, 0, 1, 0, 0, 2, 1, 1, 3, 4, 2, 3, 5, 3, 4, 6, 4, 8, 9, 9, 12, 17]),
    ("22 values, shifted", [450 * c for c in CATEGORIES], [c + 50 * (i == 3) for i, c in enumerate(CATEGORIES)]),
]


def splitmix(start, n):
    """The first n numbers of splitmix64 from a state, as its 20 highest bits."""
    z = numpy.arange(1, n + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15) + numpy.uint64(start)
    z = (z ^ z >> numpy.uint64(30)) * numpy.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> numpy.uint64(27)) * numpy.uint64(0x94D049BB133111EB)
    return ((z ^ z >> numpy.uint64(31)) >> numpy.uint64(44)).astype(numpy.int64)


def bell(seed, n):
    """Sums of twelve uniform numbers, nearly normal with variance 1, as exact multiples of 2^-20."""
    return (splitmix(seed, 12 * n).reshape(n, 12).sum(1) - 6 * 2**20) / 2**20


def window(shape, seed, n, shift=0.0, scale=1.0, missing=False):
    """One of the shapes, each made of operations that every machine rounds alike. Missing: each 7th value is NaN, each 11th an infinity."""
    u = splitmix(seed, n)
    if shape == "normal":
        values = bell(seed, n)
    elif shape == "skewed":  # a product of twelve, nearly log-normal
        values = numpy.ones(n)
        for factor in splitmix(seed, 12 * n).reshape(n, 12).T:
            values = values * (0.5 + factor / 2**20)
    elif shape == "bimodal":
        values = bell(seed, n) / 2 + numpy.where(splitmix(seed + 1, n) % 2, 2.5, -2.5)
    elif shape == "heavy":  # odds, with a sign
        values = numpy.where(splitmix(seed + 1, n) % 2, 1, -1) * ((u + 1) / (2**20 - u))
    elif shape == "whole":  # integers with many ties
        values = (u * splitmix(seed + 1, n)) >> 34
    elif shape == "few":
        values = u % 5
    elif shape == "binary":
        values = u % 2
    elif shape == "constant":
        values = numpy.full(n, 3.5)
    if (shift, scale) != (0.0, 1.0):
        values = values * scale + shift
    if missing:
        values = values.astype(float)
        values[::7], values[5::11] = numpy.nan, -numpy.inf
    return values


def numeric(name, reference, current):
    full = [window(**w) for w in (reference, current)]
    r, c = (pandas.Series(w[numpy.isfinite(w)]) for w in full)  # what Evidently's get_one_column_drift does first
    kind = ColumnType.Numerical
    figures = {n: evidently(n, r, c, kind) for n in ("psi", "kl_div", "jensenshannon", "hellinger", "ks", "wasserstein")}
    if figures["hellinger"] < 1e-7:
        figures["hellinger"] = 0.0  # 1 minus a sum that is 1 but for its last bit, under a root
    figures |= {n: evidently(n, r, c, kind) for n in ("mannw", "ed")}
    figures["ks_statistic"] = number(stats.ks_2samp(r, c)[0])
    figures["wasserstein_distance"] = number(stats.wasserstein_distance(r, c))
    figures["mannwhitney_statistic"], figures["mannwhitney"] = map(number, stats.mannwhitneyu(r, c))
    if r.var() > 0 or c.var() > 0:
        if len(r) + len(c) > 2:
            figures["t_statistic"], figures["t_test"] = number(stats.ttest_ind(r, c)[0]), evidently("t_test", r, c, kind)
        if min(len(r), len(c)) > 1:
            figures["welch_statistic"], figures["welch"] = map(number, stats.ttest_ind(r, c, equal_var=False))
    return {"name": name, "reference": reference, "current": current, "rows": [len(r), len(c)], "sums": [float(r.sum()), float(c.sum())],
            "preset": preset(r, c, kind), "figures": figures}


NUMERIC = [
    ("normal", ["normal", 1, 700], ["normal", 2, 300]),
    ("normal, the same", ["normal", 1, 700], ["normal", 1, 700]),
    ("normal, shifted", ["normal", 1, 700], ["normal", 2, 300, 0.25]),
    ("normal, far away", ["normal", 1, 700], ["normal", 2, 300, 40.0]),
    ("normal, wider", ["normal", 1, 2000], ["normal", 2, 300, 0.0, 1.5]),
    ("normal, exactly 1,000", ["normal", 5, 1000], ["normal", 6, 200, 0.125]),
    ("normal, 1,001", ["normal", 5, 1001], ["normal", 6, 200, 0.125]),
    ("normal, equal sizes", ["normal", 7, 500], ["normal", 8, 500, 0.125]),
    ("normal, few and equal", ["normal", 7, 12], ["normal", 8, 12, 0.5]),
    ("normal, few of one", ["normal", 7, 400], ["normal", 8, 6, 0.5]),
    ("normal, few of the reference", ["normal", 9, 5], ["normal", 10, 60, -0.5]),
    ("normal, one of each", ["normal", 11, 1], ["normal", 12, 1]),
    ("normal, one against some", ["normal", 11, 1], ["normal", 12, 30]),
    ("normal, two against three", ["normal", 13, 2], ["normal", 14, 3]),
    ("normal, prime sizes", ["normal", 15, 997], ["normal", 16, 1009, 0.0625]),
    ("normal, 10,000 and few", ["normal", 17, 10000], ["normal", 18, 150, 0.125]),
    ("normal, beyond exact", ["normal", 17, 12000], ["normal", 18, 9000, 0.015625]),
    ("normal, beyond exact, drifted", ["normal", 17, 12000], ["normal", 18, 9000, 0.125]),
    ("normal, beyond exact, hardly", ["normal", 17, 12000], ["normal", 17, 11990]),
    ("normal, beyond exact, few", ["normal", 19, 12000], ["normal", 20, 60, 0.25]),
    ("normal, beyond exact, few, near", ["normal", 19, 12000], ["normal", 21, 130]),
    ("normal, beyond exact, few, far", ["normal", 19, 12000], ["normal", 20, 60, 1.0]),
    ("normal, beyond exact, 3", ["normal", 19, 12000], ["normal", 22, 3]),
    ("normal, beyond exact, one", ["normal", 19, 12000], ["normal", 22, 1]),
    ("skewed", ["skewed", 31, 900], ["skewed", 32, 500, 0.0, 1.125]),
    ("skewed, more than 1,000", ["skewed", 31, 3000], ["skewed", 32, 500, 0.0, 1.125]),
    ("bimodal", ["bimodal", 33, 1500], ["normal", 35, 800]),
    ("heavy tail", ["heavy", 36, 1500], ["heavy", 38, 800]),
    ("heavy tail, small", ["heavy", 36, 600], ["heavy", 38, 300, 0.5]),
    ("whole", ["whole", 41, 900], ["whole", 43, 400]),
    ("whole, more than 1,000", ["whole", 41, 5000], ["whole", 43, 400, 1, 2]),
    ("few", ["few", 45, 300], ["few", 46, 200]),
    ("few, more than 1,000", ["few", 45, 3000], ["few", 46, 200]),
    ("few, two new", ["few", 45, 300], ["few", 46, 200, 2, 1]),
    ("binary", ["binary", 47, 300], ["binary", 48, 200]),
    ("binary, more than 1,000", ["binary", 47, 1300], ["binary", 48, 200]),
    ("constant", ["constant", 49, 40], ["constant", 50, 30]),
    ("constant, more than 1,000", ["constant", 49, 1400], ["constant", 50, 30]),
    ("constant became normal", ["constant", 49, 1400], ["normal", 50, 30]),
    ("normal became constant", ["normal", 49, 400], ["constant", 50, 30]),
    ("missing", ["normal", 51, 1200, 0.0, 1.0, True], ["normal", 52, 600, 0.25, 1.0, True]),
    ("missing, near 1,000", ["normal", 51, 1280, 0.0, 1.0, True], ["normal", 52, 600, 0.25, 1.0, True]),
    ("small numbers", ["normal", 53, 1200, 0.0, 2.0**-20], ["normal", 54, 600, 0.0, 2.0**-20]),
]

def embeddings(seed, n, d, shift):
    """n × d multiples of 2^-22, exact in float32: noise about a mean, moved by a share of another mean. Returns their whole numerators' sum, too."""
    noise, mean, move = splitmix(seed, n * d).reshape(n, d), splitmix(100, d), splitmix(101, d)
    whole = 2 * noise + mean + (move * shift >> 10) - (3 << 19)
    return whole / 2**22, int(whole.sum())


def domain(reference, current, seed):
    """Evidently's ModelDriftMethod with another seed than 42."""
    x, y = numpy.vstack([reference, current]), numpy.repeat([1, 0], [len(reference), len(current)])
    train, test, y_train, y_test = train_test_split(x, y, test_size=0.5, random_state=seed, shuffle=True)
    return roc_auc_score(y_test, SGDClassifier(loss="log_loss", random_state=seed).fit(train, y_train).predict_proba(test)[:, 1])


def embedded(name, n, m, d, shift):
    (r, r_sum), (c, c_sum) = embeddings(102, n, d, 0), embeddings(103, m, d, shift)
    reference, current = pandas.DataFrame(r), pandas.DataFrame(c)

    def drift(method):
        return method(current.copy(), reference.copy())

    ks = [stats.ks_2samp(r[:, i], c[:, i]) for i in range(d)]
    p = numpy.array([k.pvalue for k in ks])
    scores = [domain(r, c, seed) for seed in range(42, 62)]
    score, drifted, _ = drift(methods.model(bootstrap=n < 1000))
    assert scores[0] == score
    labels = numpy.repeat([1, 0], [(n + 1) // 2, (m + 1) // 2])
    gamma = 2.0
    kernel = pairwise_kernels(numpy.vstack([r, c]), metric="rbf", gamma=gamma)
    unbiased = methods.MMD2u(kernel, n, m)
    if min(n, m) > 1000:
        figures = {}  # Evidently's own choice of 1,000 rows has no counterpart
    else:
        figures = {"mmd": number(drift(methods.mmd())[0])}
    return {
        "name": name, "n": n, "m": m, "d": d, "shift": shift, "sums": [r_sum, c_sum],
        "ks": [number(k.statistic) for k in ks], "p": [number(x) for x in p],
        "wasserstein": [evidently("wasserstein", reference[i], current[i], ColumnType.Numerical) for i in range(d)],
        "difference": [number(x) for x in c.mean(0) - r.mean(0)],
        "benjamini_hochberg": [number(x) for x in stats.false_discovery_control(p)], "holm": [number(x) for x in multipletests(p, method="holm")[1]],
        "figures": figures | {"ratio": number(drift(methods.ratio())[0]), "mmd2u": number(unbiased)}
        | {name: number(drift(methods.distance(dist=name))[0]) for name in methods.DISTANCE_DICT},
        "gamma": gamma, "auc": [number(x) for x in scores],
        "random": [number(numpy.percentile([methods.calc_roc_auc_random(labels, 1000 * s + i) for i in range(100)], 95)) for s in range(20)],
        "drifted": bool(drifted),
    }


EMBEDDINGS = [
    ("384 wide, no drift", 300, 200, 384, 0),
    ("384 wide, drifted", 300, 200, 384, 400),
    ("384 wide, 1,100 rows, drifted a little", 1100, 300, 384, 100),
    ("1,024 wide, drifted a little", 250, 200, 1024, 100),
    ("5 wide, few rows", 12, 9, 5, 1000),
]


def ranked(n, values):
    """Scores with ties and what roc_auc_score says of them."""
    scores, positive = splitmix(7, n) % values, splitmix(8, n) % 3 == 0
    return {"n": n, "values": values, "auc": number(roc_auc_score(positive, scores))}


if __name__ == "__main__":
    write("categorical.json", [categorical(*case) for case in CATEGORICAL])
    keys = ("shape", "seed", "n", "shift", "scale", "missing")
    write("numeric.json", [numeric(name, dict(zip(keys, r)), dict(zip(keys, c))) for name, r, c in NUMERIC])
    write("embeddings.json", [embedded(*case) for case in EMBEDDINGS])
    write("auc.json", [ranked(*case) for case in [(20, 3), (200, 7), (1000, 1 << 20), (50, 1)]])
