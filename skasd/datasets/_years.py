"""Of which year of the challenge clips are, as far as their names and folders tell."""

import re
from pathlib import Path

from skasd.datasets._dcase import is_challenge_name

_FETCHED = re.compile(r"dcase(20\d\d)")  # the folder that fetch_dcase makes
_2021 = {"source_test", "target_test"}


def tell_year(paths):
    """The year whose rule counts for these test clips, or None where nothing tells it, or they are of several.

    2022 is given for clips that may be of any year since, whose rules are one.
    """
    years = {_year_of(Path(path)) for path in paths}
    years = years - {2022} if max(years - {None}, default=0) > 2022 else years
    return years.pop() if len(years) == 1 else None


def _year_of(path):
    if not is_challenge_name(path.name):
        return None
    told = [int(match[1]) for match in map(_FETCHED.fullmatch, path.parts) if match]
    if told:
        return told[-1]
    if path.name.startswith(("id_", "normal_id_", "anomaly_id_")):
        return 2020
    if path.parent.name in _2021:
        return 2021
    if path.parent.name != "test":
        return None
    return 2026 if path.stem.endswith("_") else 2022
