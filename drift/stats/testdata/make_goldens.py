"""Writes categorical.json, numeric.json and embeddings.json: what Evidently 0.7.21, scipy and scikit-learn say of seeded windows.

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
from scipy import stats

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

if __name__ == "__main__":
    write("categorical.json", [categorical(*case) for case in CATEGORICAL])
