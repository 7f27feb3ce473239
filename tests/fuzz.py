"""Tries the package with hostile inputs, and fails where one breaks its law.

An input either gives a correct, finite result or an error of the package that names the file, clip, field or parameter.
A breach is anything else: a wrong or infinite number, an error from inside another library, a hang, an overflow.

    python tests/fuzz.py --inputs 10000 --seed 0
    python tests/fuzz.py --kind audio --inputs 500

It prints how many inputs of each kind ended how, and each breach with a minimal input that shows it.
"""

import argparse
import importlib
import sys
import time
from collections import Counter

import hypothesis
from fuzzing.judging import TooLong, judge
from hypothesis import HealthCheck, Phase

KINDS = {
    "audio": 4,
    "arrays": 3,
    "augmentations": 1,
    "clips": 2,
    "labels": 1,
    "detectors": 4,
    "recordings": 1,
    "metrics": 2,
    "submissions": 2,
    "folders": 1,
    "archives": 1,
    "results": 1,
}  # how many shares of the inputs each gets
MOST_TRIES = 300  # to make a breach smaller
COLUMNS = ("result", "error", "breach")


class Breach(Exception):
    """Shows hypothesis what it has to make smaller."""


def load(kind):
    """The module of a kind."""
    return importlib.import_module(f"fuzzing.{kind}")


def run(kind, n_inputs, seed):
    """How often inputs ended how, and {signature: [(number, case, outcome)]} of those that broke the law."""
    counts, breaches = Counter(), {}

    def look(case):
        outcome = judge(load(kind).law, case)
        counts[outcome.name] += 1
        if outcome.name == "breach":
            breaches.setdefault(outcome.signature, []).append((counts.total(), case, outcome))

    _draw(kind, look, n_inputs, seed, [Phase.generate])
    return counts, breaches


def minimize(kind, signature, number, case, n_inputs, seed):
    """The smallest case with this breach; the given one where it takes too long."""
    calls, smallest = 0, case
    if signature[0] == TooLong.__name__:
        return case

    def look(case):
        nonlocal calls, smallest
        calls += 1
        if not number <= calls < number + MOST_TRIES:
            return
        outcome = judge(load(kind).law, case)
        if outcome.name == "breach" and outcome.signature == signature:
            smallest = case
            raise Breach

    try:
        _draw(kind, look, n_inputs, seed, [Phase.generate, Phase.shrink])
    except (Breach, hypothesis.errors.Flaky):
        pass
    return smallest


def _draw(kind, look, n_inputs, seed, phases):
    settings = hypothesis.settings(
        max_examples=n_inputs, phases=phases, database=None, deadline=None, print_blob=False,
        suppress_health_check=list(HealthCheck), verbosity=hypothesis.Verbosity.quiet,
    )  # fmt: skip
    settings(hypothesis.seed(seed)(hypothesis.given(load(kind).cases())(look)))()


def report(kind, found, smallest):
    """What a breach is, and the code that shows it."""
    number, _, outcome = found[0]
    lines = [f"\n{kind}, input {number} and {len(found) - 1} more: {outcome.what}"[:1000]]
    lines += [f"    raised in {outcome.where}"] if outcome.where else []
    lines += [f"    from fuzzing.{kind} import *", f"    law({smallest!r})"]
    return "\n".join(lines)


def main(arguments=None):
    """Run the inputs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1000, help="how many, of all kinds together")
    parser.add_argument("--seed", type=int, default=0, help="the same seed draws the same inputs")
    parser.add_argument("--kind", choices=list(KINDS), action="append", help="only this kind; may be repeated")
    given = parser.parse_args(arguments)
    kinds = given.kind or list(KINDS)
    shares = sum(KINDS[kind] for kind in kinds)
    total, reports = Counter(), []
    print(f"{'kind':<14}{'inputs':>8}{'result':>8}{'error':>8}{'breach':>8}{'seconds':>9}", flush=True)
    for kind in kinds:
        n_inputs, start = round(given.inputs * KINDS[kind] / shares), time.perf_counter()
        counts, breaches = run(kind, n_inputs, given.seed)
        total += counts
        cells = [counts.total(), *(counts[name] for name in COLUMNS), round(time.perf_counter() - start)]
        print(f"{kind:<14}" + "".join(f"{cell:>8}" for cell in cells[:-1]) + f"{cells[-1]:>9}", flush=True)
        reports += [
            report(kind, found, minimize(kind, signature, *found[0][:2], n_inputs, given.seed))
            for signature, found in breaches.items()
        ]
    print(f"{'all':<14}{total.total():>8}" + "".join(f"{total[name]:>8}" for name in COLUMNS))
    print("\n".join(reports))
    return 1 if total["breach"] else 0


if __name__ == "__main__":
    sys.exit(main())
