"""Fits scikit-learn's LogisticRegression on the examples of a folder and prints how that went, as JSON.

Arguments: folder, dimensions, C, tolerance. The folder holds x.f32 (rows of float32) and y.i32; coefficients and
intercepts are written to it as coefficients.f64 (categories × dimensions, then categories).
"""
import json
import resource
import sys
import time

import numpy
from sklearn.linear_model import LogisticRegression

folder, dim, c, tolerance = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
x = numpy.fromfile(folder + "/x.f32", numpy.float32).reshape(-1, dim)
y = numpy.fromfile(folder + "/y.i32", numpy.int32)
model = LogisticRegression(C=c, tol=tolerance, max_iter=100000)
began, busy = time.perf_counter(), time.process_time()
model.fit(x, y)
seconds, busy = time.perf_counter() - began, time.process_time() - busy
numpy.concatenate([model.coef_.ravel(), model.intercept_]).astype("<f8").tofile(folder + "/coefficients.f64")
print(json.dumps({
    "seconds": seconds, "processor_seconds": busy, "iterations": int(model.n_iter_[0]),
    "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
