"""Classifies one text over HTTP: classify.py TEXT."""
import json
import os
import sys
import urllib.error
import urllib.request

request = urllib.request.Request(
    os.environ.get("URL", "http://127.0.0.1:8080") + "/v1/classify",
    data=json.dumps({"text": sys.argv[1]}).encode(),
    headers={"Content-Type": "application/json"},
)
if token := os.environ.get("TOKEN"):
    request.add_header("Authorization", "Bearer " + token)
try:
    with urllib.request.urlopen(request) as response:
        answer = json.load(response)
except urllib.error.HTTPError as error:
    sys.exit(f"{error}: {error.read().decode()}")  # says what was wrong and what to do
print(answer["categori_label"], f"{answer['confidence']:.3f}", sep="\t")
