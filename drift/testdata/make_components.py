"""Writes components.json: what Evidently 0.7.21 and scipy say of the components of seeded vectors, and of their means.

Run it from this folder with the versions in native/peers.txt. The vectors are made by splitmix64, which the Go test repeats: no values need to be committed.
Every 29th component is written, and figures over all of them.
"""
import json
import os
import warnings

os.environ["DO_NOT_TRACK"] = "1"  # Evidently counts its users
import numpy
import pandas
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from evidently.legacy.metrics.data_drift.embedding_drift_methods import ratio
from scipy import special, stats
from scipy.spatial import distance

warnings.filterwarnings("ignore")  # constants are the point


def splitmix64(x):
    with numpy.errstate(over="ignore"):
        x = x + numpy.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return x ^ (x >> numpy.uint64(31))


def vectors(first, rows, width, current):
    """Component j is uniform, uniform and shifted in the current window, full of ties, constant, or constant in the reference, by j modulo 5."""
    index = numpy.arange(first * width, (first + rows) * width, dtype=numpy.uint64).reshape(rows, width)
    x = (splitmix64(index) >> numpy.uint64(44)).astype(float) / 2**20 - 0.5
    j = numpy.arange(width) % 5
    x[:, j == 1] += current / 8
    x[:, j == 2] = numpy.floor(x[:, j == 2] * 8) / 8
    x[:, j == 3] = 0.1
    if not current:
        x[:, j == 4] = 0.3
    return x.astype(numpy.float32).astype(float)


def number(x):
    return float(f"{x:.10g}")


golden = []
for width, n, m in ((384, 40, 57), (1024, 33, 12)):
    r, c = vectors(0, n, width, 0), vectors(n, m, width, 1)
    frames = pandas.DataFrame(r), pandas.DataFrame(c)
    ks = [stats.ks_2samp(r[:, j], c[:, j]) for j in range(width)]
    ks_p = special.kolmogorov([k.statistic * numpy.sqrt(n * m / (n + m)) for k in ks])
    constant = numpy.arange(width) % 5 == 3
    shift = c.mean(0) - r.mean(0)
    error = numpy.sqrt(r.var(0, ddof=1) / n + c.var(0, ddof=1) / m)
    z = numpy.where(constant, 0, shift / numpy.where(constant, 1, error))
    z_p = numpy.where(constant, 1, 2 * stats.norm.sf(abs(z)))
    ks_q, z_q = stats.false_discovery_control(ks_p), stats.false_discovery_control(z_p)
    share = ratio("wasserstein", 0.1)(frames[1], frames[0])[0]
    components = []
    for j in range(0, width, 29):
        a, b = frames[0][j], frames[1][j]
        w = get_stattest(a, b, ColumnType.Numerical, "wasserstein")(a, b, ColumnType.Numerical, 0.1).drift_score
        figures = (r[:, j].mean(), c[:, j].mean(), 0 if constant[j] else r[:, j].std(ddof=1), 0 if constant[j] else c[:, j].std(ddof=1), w,
                   ks[j].statistic, ks_p[j], ks_q[j], z[j], z_p[j], z_q[j])
        components.append([j + 1, *map(number, figures)])
    means = r.mean(0), c.mean(0)
    distances = [f(*means) for f in (distance.euclidean, distance.cosine, distance.cityblock, distance.chebyshev)]
    golden.append({"width": width, "n": n, "m": m, "share": number(share), "distances": [*map(number, distances)], "components": components})

with open("components.json", "w") as f:
    json.dump(golden, f)
    f.write("\n")
