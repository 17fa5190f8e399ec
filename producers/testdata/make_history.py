"""Writes the same seven past vacancies as CSV, as Parquet in the ways pandas and pyarrow write it, and as a folder of text with an index; types.parquet holds
a column of each type.

Run it from this folder with the versions in native/peers.txt: pandas writes its own version into pandas.parquet.
"""
import datetime
import decimal
import pathlib
import uuid

import pandas
import pyarrow
from pyarrow import parquet

rows = [
    ("Murer til facader", "Vi søger en murer til facaderenovering i Vejle.\nDu murer og fuger.", "2022-01-31T08:00:00", "Bygge og anlæg", "Byggeri", "Syddanmark", 37),
    ("Kok", "Vi søger en kok til vores restaurant; du laver mad til 40 gæster.", "2022-05-02T00:00:00", "Hotel, restauration, køkken og kantine", "Hotel", "Sjælland", 32),
    ("Sygeplejerske", "Du giver \"god\" pleje på afdelingen, dag og aften.", "2022-11-15T12:30:00", "16", "Sundhed", "Hovedstaden", None),
    ("Sælger", "Du sælger løsninger til erhvervskunder.", "2024-02-01T00:00:00", "Butikssalg", "Handel", None, 37),
    ("Pædagog", "Børnehaven søger en pædagog, der kan lide at være ude.", "2024-03-20T07:15:00", "", "Undervisning", "Midtjylland", 30),
    ("Chauffør", "Du kører varer ud i hele landet.", "2024-06-30T23:59:59", "Transport", "Transport", "Nordjylland", 37),
    ("Tømrer", "Vi bygger tage og søger en tømrer med svendebrev.", "2024-12-24T00:00:00", "40000", "Byggeri", "Syddanmark", 37),
]
names = ["stillingsbetegnelse", "annoncetekst", "startdt", "label", "erhvervsgruppe_txt", "region", "timer"]


def quote(value, delimiter):
    if any(c in value for c in delimiter + '"\n'):
        return '"' + value.replace('"', '""') + '"'
    return value


def write_csv(path, delimiter, encoding, end, date):
    lines = [delimiter.join(names)]
    for row in rows:
        values = ["" if v is None else date(v) if n == "startdt" else str(v) for n, v in zip(names, row)]
        lines.append(delimiter.join(quote(v, delimiter) for v in values))
    pathlib.Path(path).write_bytes((end.join(lines) + end).encode(encoding))


time = datetime.datetime.fromisoformat
write_csv("history.csv", ",", "utf-8-sig", "\n", lambda s: s)
write_csv("history-1252.csv", ";", "windows-1252", "\r\n", lambda s: time(s).strftime("%d-%m-%Y %H:%M:%S"))
write_csv("history.tsv", "\t", "utf-8", "\n", lambda s: time(s).strftime("%d.%m.%Y %H.%M.%S"))

frame = pandas.DataFrame(rows, columns=names)
frame["startdt"] = pandas.to_datetime(frame["startdt"])
frame["region"] = frame["region"].astype("category")
frame.index = frame.index + 100  # written as __index_level_0__
frame.to_parquet("pandas.parquet")

table = pyarrow.Table.from_pandas(pandas.DataFrame(rows, columns=names), preserve_index=False)
days = [time(row[2]) for row in rows]


def write(path, dates, **options):
    at = names.index("startdt")
    parquet.write_table(table.set_column(at, "startdt", dates).replace_schema_metadata(None), path, **options)


write("zstd.parquet", pyarrow.array(days, pyarrow.timestamp("ms", "Europe/Copenhagen")), compression="zstd", row_group_size=3, data_page_version="2.0")
write("gzip.parquet", pyarrow.array(days, pyarrow.timestamp("us")), compression="gzip", use_dictionary=False)
write("int96.parquet", pyarrow.array(days, pyarrow.timestamp("ns")), compression="none", use_deprecated_int96_timestamps=True, data_page_size=64, write_batch_size=1)
write("text.parquet", pyarrow.array([row[2] for row in rows], pyarrow.large_string()), compression="brotli", column_encoding={n: "DELTA_BYTE_ARRAY" for n in names[:6]}, use_dictionary=False)
write("lz4.parquet", pyarrow.array(days, pyarrow.timestamp("s")), compression="lz4")

types = {
    "text": pyarrow.array(["a", "b", "c"]),
    "boolean": pyarrow.array([True, False, None]),
    "int8": pyarrow.array([-1, 2, None], pyarrow.int8()),
    "uint32": pyarrow.array([4294967295, 0, None], pyarrow.uint32()),
    "int64": pyarrow.array([-9007199254740993, 5, None], pyarrow.int64()),
    "uint64": pyarrow.array([18446744073709551615, 5, None], pyarrow.uint64()),
    "float32": pyarrow.array([.1, 6, None], pyarrow.float32()),
    "float64": pyarrow.array([.1, 6, float("nan")], pyarrow.float64()),
    "decimal": pyarrow.array([decimal.Decimal("-12.50"), decimal.Decimal("7.00"), None], pyarrow.decimal128(20, 2)),
    "decimal32": pyarrow.array([decimal.Decimal("-12.5"), decimal.Decimal("7"), None], pyarrow.decimal128(5, 1)),
    "date": pyarrow.array([datetime.date(2022, 1, 31), datetime.date(1970, 1, 1), None]),
    "date64": pyarrow.array([datetime.date(2022, 1, 31), datetime.date(1970, 1, 1), None], pyarrow.date64()),
    "timestamp": pyarrow.array([datetime.datetime(2022, 1, 31, 8, 0, 0, 250000), datetime.datetime(1970, 1, 1), None], pyarrow.timestamp("us")),
    "zone": pyarrow.array([datetime.datetime(2022, 1, 31, 8), datetime.datetime(1970, 1, 1), None], pyarrow.timestamp("ms", "Europe/Copenhagen")),
    "binary": pyarrow.array([b"\xc3\xa6", b"b", None]),
    "fixed": pyarrow.array([b"\x01\xff", b"bb", None], pyarrow.binary(2)),
    "uuid": pyarrow.array([uuid.UUID(int=7).bytes, uuid.UUID(int=8).bytes, None], pyarrow.uuid()),
    "dictionary": pyarrow.array(["x", "y", None]).dictionary_encode(),
    "empty": pyarrow.nulls(3),
    "time": pyarrow.array([datetime.time(8), datetime.time(9), None]),
    "list": pyarrow.array([["a"], [], None]),
    "struct": pyarrow.array([{"a": 1}, {"a": 2}, None]),
    "latin": pyarrow.array([b"\xe6", b"b", None]),
}
parquet.write_table(pyarrow.table(types), "types.parquet", store_schema=False)
parquet.write_table(pyarrow.table({"text": pyarrow.array([], pyarrow.string())}), "empty.parquet")

# The folder: the date of a text is that of its path where the day is enough, and the index's where it is not.
index = ["file;startdt;label;erhvervsgruppe_txt;region;timer"]
for i, (title, text, date, label, group, region, hours) in enumerate(rows):
    name = f"{date[:4]}/{date[5:7]}/ad-{i}.txt"
    path = pathlib.Path("ads", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{title}\n\n{text}\n", encoding="utf-8")
    index.append(";".join(quote(v, ";") for v in (name, date, label, group, region or "", str(hours or ""))))
pathlib.Path("ads.csv").write_text("\n".join(index) + "\n", encoding="utf-8")
