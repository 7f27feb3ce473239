"""A part of `tests/fuzz.py`, and proof that it finds what it is there to find."""

import time

import fuzz
import numpy as np
import pytest
import soundfile
from fuzzing import audio, judging
from fuzzing.judging import Broken, judge
from hypothesis import strategies as st

from skasd.audio import load_audio
from skasd.clips import Clips

N_INPUTS = 40  # of each kind


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_no_input_breaks_the_law(kind):
    counts, breaches = fuzz.run(kind, N_INPUTS, seed=1)
    assert not breaches, "".join(fuzz.report(kind, found, found[0][1]) for found in breaches.values())
    assert counts["result"] and counts["error"] and counts.total() >= N_INPUTS


def outcome_of(law):
    return judge(lambda case: law(), None)


class TestJudge:
    def test_a_result(self):
        assert outcome_of(lambda: None).name == "result"

    @pytest.mark.parametrize(
        "law",
        [
            lambda: Clips(section=["00"], label=[5]),
            lambda: load_audio("missing.wav"),
            lambda: load_audio("missing.wav", offset=-1),
        ],
    )
    def test_an_error_of_the_package(self, law):
        assert outcome_of(law).name == "error"

    @pytest.mark.parametrize("law", [
        lambda: np.zeros(2) + np.zeros(3),
        lambda: Clips(section=["00"]).with_fields(own=range(2**60)),  # MemoryError
        lambda: soundfile.read("missing.wav"),
        lambda: np.array([1e308]) * 1e308,  # warns
        lambda: 1 / 0,
        lambda: SystemExit(1).__class__(1) and exec("raise SystemExit"),
    ])  # fmt: skip
    def test_what_comes_from_elsewhere_is_a_breach(self, law):
        assert outcome_of(law).name == "breach"

    def test_a_hang_is_a_breach(self, monkeypatch):
        monkeypatch.setattr(judging, "SECONDS", 0.1)
        assert outcome_of(lambda: time.sleep(5)).what.startswith("TooLong")

    def test_a_message_must_name_and_must_not_lie(self):
        class Case:
            names, untrue = ("section",), ()

        def law(case):
            Clips(section=["00"], label=[5])

        assert judge(law, Case).name == "breach"
        Case.names, Case.untrue = ("label",), ()
        assert judge(law, Case).name == "error"
        Case.untrue = ("anomalous",)
        assert judge(law, Case).name == "breach"

    def test_an_interrupt_is_none_of_its_business(self):
        def interrupt():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            outcome_of(interrupt)


def test_a_wrong_value_is_found_and_made_small(monkeypatch, capsys):
    def law(case):
        if case > 1000:
            raise Broken(f"{case} is too large")

    monkeypatch.setattr(audio, "cases", lambda: st.integers(0, 10**6))
    monkeypatch.setattr(audio, "law", law)
    assert fuzz.main(["--kind", "audio", "--inputs", "50"]) == 1
    assert "law(1001)" in capsys.readouterr().out
