#!/usr/bin/env python3
"""Holds the dashboard and the rules against the metrics that exist.

    check.py names FILE                  every metric and label that they name is in FILE: docs/telemetry.md, or a scraped page
    check.py live URL [PICTURE]          every expression returns data from a running Prometheus; draws its panels
"""

import json
import math
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
DASHBOARD = HERE / "grafana/dashboards/photometa.json"
RULES = HERE / "rules.yaml"

# Made by Prometheus itself.
OWN = {"up"}
# Alerts are quiet when all is well, and these windows are longer than the check.
QUIET = "an alert: it returns data when it fires, which rules.test.yaml shows"


def panels():
    """The dashboard's panels that show something."""
    return [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]


def rules():
    """Name, expression and kind ('record' or 'alert') of each rule: read by their form, so that no package is needed."""
    found = []
    for rule in re.split(r"\n      - (?=record:|alert:)", RULES.read_text())[1:]:
        kind, name = re.match(r"(record|alert): (\S+)", rule).groups()
        expression = re.search(r"expr: (?:\|\n((?: {10,}.*\n?)+)|(.+))", rule)
        found.append((name, " ".join((expression[1] or expression[2]).split()), kind))
    return found


def metrics(expression):
    """The names of metrics in an expression."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]', "", expression)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    words = re.findall(r"(?<![\w.:])[a-z_][\w:]*(?!\s*\()(?![\w:])", bare)
    return {word for word in words if "_" in word or word in OWN} - {"histogram_quantile"}


def labels(expression):
    """The names of labels in an expression, but those that Prometheus gives itself."""
    matched = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expression)
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    return {name for name in matched + re.findall(r"\w+", " ".join(grouped))} - {"job", "instance", "le"}


def names(file):
    """Compares names of metrics and labels with a page; the three series of a histogram have its name."""
    # The page also has them as OpenTelemetry does, with dots.
    text = pathlib.Path(file).read_text().replace(".", "_")
    known = set(re.findall(r"[a-z][a-z0-9_]+", text))
    recorded = {name for name, _, kind in rules() if kind == "record"}
    used = {}
    for panel in panels():
        for target in panel["targets"]:
            used.setdefault("dashboard: " + panel["title"], set()).update(metrics(target["expr"]) | labels(target["expr"]))
    for name, expression, _ in rules():
        used.setdefault("rule: " + name, set()).update(metrics(expression) | labels(expression))
    missing = []
    for where, wanted in used.items():
        for metric in sorted(wanted - OWN - recorded):
            if metric not in known and re.sub(r"_(bucket|sum|count)$", "", metric) not in known:
                missing.append(f"{where}: {metric} is not in {file}")
    print("\n".join(missing) or f"{len(set().union(*used.values()) - OWN - recorded)} names, all in {file}")
    return 1 if missing else 0


def ask(url, path, **query):
    with urllib.request.urlopen(f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return json.load(answer)["data"]["result"]


def filled(expression):
    """An expression with what Grafana puts in place of its variables."""
    values = {"$__rate_interval": "15s", "$job": ".*photometa.*", "$instance": ".*"}
    for variable, value in values.items():
        expression = expression.replace(variable, value)
    return expression


def numbers(series):
    return [(float(at), float(value)) for at, value in series["values"] if math.isfinite(float(value))]


def live(url, picture=None, span=90):
    """Asks every expression over the last `span` seconds. Without a finite number, it has failed."""
    now = time.time()
    failed, drawn, asked = [], [], 0
    for panel in panels():
        lines = []
        for target in panel["targets"]:
            asked += 1
            answer = ask(url, "query_range", query=filled(target["expr"]), start=now - span, end=now, step=2)
            found = [(one["metric"], numbers(one)) for one in answer]
            found = [(labels, values) for labels, values in found if values]
            if not found:
                failed.append(f"dashboard: {panel['title']}: no data: {filled(target['expr'])}")
            for labels, values in found:
                legend = re.sub(r"\{\{(\w+)\}\}", lambda name: labels.get(name[1], ""), target["legendFormat"])
                lines.append((legend, values))
        drawn.append((panel, lines))
    for name, expression, kind in rules():
        # Their windows are shortened to what the run lasted.
        short = re.sub(r"\[(5m|30m|1h|6h)\]", "[60s]", expression)
        asked += 1
        if kind == "record" and not ask(url, "query", query=short, time=now):
            failed.append(f"rule: {name}: no data: {short}")
    states = {rule["name"]: rule["state"] for rule in rule_states(url)}
    print(f"{asked} expressions asked; of alerts that they are evaluated: {QUIET}")
    print("alerts: " + ", ".join(f"{name} {state}" for name, state in states.items()))
    print("\n".join(failed) or "every panel and every recorded rule has data")
    if picture:
        draw(drawn, picture)
    return 1 if failed else 0


def rule_states(url):
    """The alerts as Prometheus has them; one whose evaluation failed is an error."""
    with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=30) as answer:
        groups = json.load(answer)["data"]["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    broken = [f"{rule['name']}: {rule['lastError']}" for rule in found if rule.get("lastError")]
    if broken:
        sys.exit("\n".join(broken))
    return [rule for rule in found if rule["type"] == "alerting"]


def draw(drawn, picture):
    """The panels, as the dashboard has them, from what Prometheus scraped."""
    import io

    import matplotlib.pyplot as plt
    from PIL import Image

    units = {"reqps": "calls/s", "ops": "1/s", "percentunit": "ratio", "s": "s", "bytes": "bytes"}
    start = min(at for _, lines in drawn for _, values in lines for at, _ in values)
    rows = {}
    for panel, lines in drawn:
        rows.setdefault(panel["gridPos"]["y"], []).append((panel, lines))
    plt.rcParams.update({"font.size": 6, "axes.spines.top": False, "axes.spines.right": False, "lines.linewidth": 0.9})
    figure = plt.figure(figsize=(13, 1.75 * len(rows)), layout="constrained")
    for part, line in zip(figure.subfigures(len(rows), 1), rows.values()):
        axes = part.subplots(1, len(line), squeeze=False)[0]
        for axis, (panel, lines) in zip(axes, line):
            lines = sorted(lines, key=lambda one: -max(value for _, value in one[1]))
            for legend, values in lines:
                # What is told of RPCs begins alike.
                axis.plot([at - start for at, _ in values], [value for _, value in values], label=legend.replace("photometa.v1.", "")[:34])
            unit = units.get(panel["fieldConfig"]["defaults"]["unit"])
            axis.set_title(panel["title"] + (f" ({unit})" if unit else ""), loc="left", weight="bold")
            if not lines:
                axis.text(0.5, 0.5, "no data", transform=axis.transAxes, ha="center")
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.3, linewidth=0.4)
            shown = axis.get_legend_handles_labels()
            if shown[0]:
                axis.legend(*(part[:8] for part in shown), fontsize=4.5, framealpha=0.6, edgecolor="none", loc="upper left")
    drawing = io.BytesIO()
    figure.savefig(drawing, dpi=80)
    # A few colours are enough, and a third of the size.
    Image.open(drawing).convert("RGB").quantize(96).save(picture, optimize=True)
    print(f"{picture}: {pathlib.Path(picture).stat().st_size // 1024} KiB")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["names", file]:
            sys.exit(names(file))
        case ["live", url, *picture] if len(picture) < 2:
            sys.exit(live(url, *picture))
        case _:
            sys.exit(__doc__)
