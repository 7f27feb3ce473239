"""Mean AUC and partial AUC of each system, from the first table of the page."""

from pathlib import Path

import matplotlib.pyplot as plt

lines = Path("results.md").read_text(encoding="utf-8").splitlines()
first = next(
    number for number, line in enumerate(lines) if line.startswith("| system |")
)
rows = []
for line in lines[first + 2 :]:
    if not line.startswith("|"):
        break
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    numbers = [[float(part) for part in cell.split("±")] for cell in cells[5:7]]
    rows.append((cells[0], *(number + [0.0] * (2 - len(number)) for number in numbers)))
rows.sort(key=lambda row: row[1][0])

figure, ax = plt.subplots(figsize=(8, 0.36 * len(rows) + 1.2), layout="constrained")
for column, (label, marker) in enumerate(
    [("AUC", "o"), ("partial AUC (false-alarm rates up to 0.1)", "s")], start=1
):
    means, stds = zip(*(row[column] for row in rows), strict=True)
    ax.errorbar(means, range(len(rows)), xerr=stds, fmt=marker, capsize=3, label=label)
ax.set_yticks(range(len(rows)), [row[0] for row in rows])
ax.set_xlabel("percent, mean of four slide rails; bars: standard deviation over seeds")
ax.axvline(50, color="grey", linewidth=0.8, linestyle="--")
ax.grid(axis="x", alpha=0.3)
ax.legend(loc="lower right")
