"""Recordings to learn and to test on, as `skasd.clips.Clips`."""

from skasd.datasets._dcase import (
    DcaseFilename,
    challenge_name,
    list_test_clips,
    load_dcase,
    parse_dcase_filename,
    read_ground_truth,
)
from skasd.datasets._fetch import fetch_dcase
from skasd.datasets._machines import make_machine_sounds
from skasd.datasets._motors import load_motors
from skasd.datasets._write_dcase import write_dcase
from skasd.datasets._years import tell_year

__all__ = [
    "DcaseFilename",
    "fetch_dcase",
    "load_dcase",
    "load_motors",
    "make_machine_sounds",
    "parse_dcase_filename",
    "write_dcase",
]
