"""Compares two windows by Evidently's DataDriftPreset and prints how long that took, without imports and reading: evidently_preset.py FOLDER ROWS COLUMNS."""
import json
import os
import sys
import time
import warnings

os.environ["DO_NOT_TRACK"] = "1"  # Evidently counts its users
import evidently
import numpy
import pandas
from evidently import Report
from evidently.presets import DataDriftPreset

warnings.filterwarnings("ignore")
folder, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
reference, current = (
    pandas.DataFrame(numpy.fromfile(f"{folder}/{name}.f32", numpy.float32).reshape(rows, columns).astype(float), columns=[f"c{j}" for j in range(columns)])
    for name in ("reference", "current")
)
began = time.perf_counter()
result = Report([DataDriftPreset()]).run(current, reference).dict()
seconds = time.perf_counter() - began
count = result["metrics"][0]["value"]["count"]
print(json.dumps({"seconds": seconds, "drifted": int(count), "version": evidently.__version__, "python": sys.version.split()[0], "pandas": pandas.__version__}))
