"""Recordings to learn and to test on, as `skasd.clips.Clips`."""

from skasd.datasets._dcase import DcaseFilename, load_dcase, parse_dcase_filename
from skasd.datasets._fetch import fetch_dcase
from skasd.datasets._motors import load_motors

__all__ = ["DcaseFilename", "fetch_dcase", "load_dcase", "load_motors", "parse_dcase_filename"]
