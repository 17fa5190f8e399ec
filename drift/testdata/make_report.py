"""Writes report.json: what Evidently 0.7.21 shows of the sample vacancies with DataSummaryPreset and DataDriftPreset.

Run it from this folder with the versions in native/peers.txt. The rows are those of samples.jsonl, which the Go test reads as well and of which it leaves out the
same: every seventh is not classified, every third has no label, every eleventh is published twice. Evidently has distances instead of p-values beyond 1,000
reference rows, so the windows are written a second time with the reference's rows three times.
"""
import json
import os
import warnings

os.environ["DO_NOT_TRACK"] = "1"  # Evidently counts its users
import numpy
import pandas
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset, DataSummaryPreset

warnings.filterwarnings("ignore")

CATEGORICAL = ["category", "label", "truncated", "language", "source", "attribute.region"]
NUMERIC = ["confidence", "text_length", "tokens", "occupations", "skills", "tasks"]


def row(i, v):
    r = {"id": v["ID"], "source": v["Source"], "language": v["Language"], "truncated": str(v["Truncated"]).lower(), "attribute.region": "Fyn", "text_length": v["TextLength"], "tokens": v["Tokens"]}
    if i % 7:
        r |= {"category": v["Category"], "confidence": float(numpy.float32(v["Confidence"]))}
        r |= {of: len(v[of.capitalize()] or []) for of in ("occupations", "skills", "tasks")}
    if i % 3:
        r["label"] = v["Label"]
    return r


windows = [], []
with open("samples.jsonl") as f:
    for i, line in enumerate(f):
        v = json.loads(line)
        windows[v["PublishedAt"] >= "2026-05-05"].extend([row(i, v)] * (2 if i % 11 == 0 else 1))


def dataset(rows):
    definition = DataDefinition(id_column="id", categorical_columns=CATEGORICAL, numerical_columns=NUMERIC)
    return Dataset.from_pandas(pandas.DataFrame(rows, columns=["id", *CATEGORICAL, *NUMERIC]), data_definition=definition)


def number(x):
    return int(x) if float(x).is_integer() else float(f"{x:.12g}")


def summary(rows):
    found = {"columns": {}}
    for metric in Report([DataSummaryPreset()]).run(dataset(rows), None).dict()["metrics"]:
        config, value = metric["config"], metric["value"]
        name, column = config["type"].removeprefix("evidently:metric_v2:"), config.get("column")
        if name == "UniqueValueCount":
            counts = {label: n for label, n in value["counts"].items() if n > 0}
            most = max(counts, key=counts.get)
            value = {"distinct": len(counts), "label": most if list(counts.values()).count(counts[most]) == 1 else "", "count": number(counts[most])}
        else:
            value = number(value["count"] if isinstance(value, dict) else value)
        if "quantile" in config:
            name += f" {config['quantile']}"
        if config.get("column_type"):
            name += f" {config['column_type'].name}"
        (found["columns"].setdefault(column, {}) if column else found)[name] = value
    return found


golden = []
for times in 1, 3:
    reference, current = windows[0] * times, windows[1]
    drift = {}
    for metric in Report([DataDriftPreset()]).run(dataset(current), dataset(reference)).dict()["metrics"]:
        config, value = metric["config"], metric["value"]
        if config.get("column"):
            drift[config["column"]] = {"method": config["method"], "score": number(value), "threshold": config["threshold"]}
        else:
            drifted = number(value["count"])
    golden.append({"times": times, "reference": summary(reference), "current": summary(current), "drift": drift, "drifted": drifted})

with open("report.json", "w") as f:
    json.dump(golden, f, ensure_ascii=False, indent=1)
    f.write("\n")
