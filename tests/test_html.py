"""What a notebook shows: clips, estimators, systems and results as HTML that needs nothing from elsewhere."""

import inspect
import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from estimators import ESTIMATORS
from sklearn.pipeline import make_pipeline

from skasd import systems
from skasd.clips import Clips
from skasd.detectors import GaussianMixtureDetector, MahalanobisDetector
from skasd.embedders import StatisticsEmbedder
from skasd.ensemble import ScoreEnsemble, SystemSelection
from skasd.evaluation import evaluate
from skasd.features import LogMelSpectrogram

VOID = {"br", "img", "input", "meta"}


class Page(HTMLParser):
    """Reads HTML: its texts, its tables, what it loads, and whether all that is opened is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.texts, self.cells, self.links = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_data(self, data):
        if "style" in self.open or "script" in self.open:
            return
        self.texts.append(data)
        if "td" in self.open or "th" in self.open:
            self.cells[-1][-1] += data


def contents(**fields):
    return [row[3] for row in Page(Clips(fields)._repr_html_()).cells[1:]]


def test_clips_are_a_table_of_their_fields():
    n_clips = 12
    page = Page(
        Clips(
            path=[f"fan/{row}.wav" for row in range(n_clips)],
            waveform=np.zeros((n_clips, 16000), np.float32),
            log_mel=np.zeros((n_clips, 4, 3), np.float32),
            embedding=np.zeros((n_clips, 5, 2)),
            section=["00", "01"] * 6,
            domain=["source"] * 9 + [""] * 3,
            attribute=[f"vel_{row % 6}" for row in range(n_clips)],
            label=[1] * 7 + [-1] * 3 + [0] * 2,
            load=[np.nan, *np.linspace(0.5, 2, n_clips - 1)],
            mine=np.zeros((n_clips, 7)),
        )._repr_html_()
    )
    assert "".join(page.texts).startswith("Clips of 12")
    assert page.links == []
    assert page.cells == [
        ["field", "shape", "dtype", "what it holds"],
        ["path", "(12,)", "<U10", "all different, first fan/0.wav"],
        ["waveform", "(12, 16000)", "float32", "mono audio: clips, samples"],
        ["log_mel", "(12, 4, 3)", "float32", "levels in dB: clips, bands, frames"],
        ["embedding", "(12, 5, 2)", "float64", "clips, windows, features"],
        ["section", "(12,)", "<U2", "00 (6), 01 (6)"],
        ["domain", "(12,)", "<U6", "none (3), source (9)"],
        ["attribute", "(12,)", "<U5", "vel_0 (2), vel_1 (2), vel_2 (2), vel_3 (2), vel_4 (2), … 6 in all"],
        ["label", "(12,)", "int64", "anomalous (3), unknown (2), normal (7)"],
        ["load", "(12,)", "float64", "0.5 to 2, 1 NaN"],
        ["mine", "(12, 7)", "float64", ""],
    ]


def test_clips_of_odd_content():
    assert contents(load=[np.nan, np.nan], when=np.array(["2020-01-01"] * 2, "M8[D]")) == ["NaN", ""]
    assert contents(good=[True, False, True], mine=np.array([None, {}, []], object)) == ["False (1), True (2)", ""]
    assert contents(section=[], waveform=np.zeros((0, 8))) == ["", "mono audio: clips, samples"]
    assert contents() == [] and "Clips of 0" in "".join(Page(Clips()._repr_html_()).texts)


def test_clips_cannot_smuggle_in_html():
    evil = "<script>alert(1)</script>"
    html = Clips({evil: [1], "section": [evil]})._repr_html_()
    assert "<script" not in html
    assert [Page(html).cells[1][0], Page(html).cells[2][3]] == [evil, f"{evil} (1)"]


def test_large_arrays_are_not_looked_into():
    class Untouchable(np.ndarray):
        def __array_finalize__(self, parent):
            if parent is not None and parent.size > 1:
                raise AssertionError("was read")

    clips = Clips(waveform=np.zeros((3, 4)))
    clips._fields["waveform"] = np.broadcast_to(np.float32(0), (10**9, 10**9))  # 4 EB, if it were real
    assert "(1000000000, 1000000000)" in clips._repr_html_()


def check_diagram(estimator):
    html = estimator._repr_html_()
    page = Page(re.sub(r":ref:`.*?`", "", html))  # scikit-learn 1.8 does not escape the < in them
    steps = [step for _, step in getattr(estimator, "steps", [(None, estimator)])]
    for step in steps:
        assert type(step).__name__ in "".join(page.texts)
        # The pages that scikit-learn's links lead to would not exist for what is not its own.
        assert step._get_doc_link() == "" or type(step).__module__.startswith("sklearn.")
    assert not [link for link in page.links if "skasd" in link]
    assert not re.search(r"""(src=|@import|url\(["']?http)""", html)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
def test_every_estimator_has_a_diagram(estimator):
    check_diagram(estimator)
    check_diagram(make_pipeline(estimator))


@pytest.mark.parametrize("name", systems.__all__)
def test_every_system_has_a_diagram(name):
    pytest.importorskip("timm")
    build = getattr(systems, name)
    wanted = [name for name, entry in inspect.signature(build).parameters.items() if entry.default is entry.empty]
    check_diagram(build(**{name: {"machine": "fan", "weights": None}[name] for name in wanted}))


def test_a_fitted_system_has_a_diagram():
    system = make_pipeline(LogMelSpectrogram(n_mels=8), StatisticsEmbedder(), MahalanobisDetector())
    waveforms = np.random.default_rng(0).normal(size=(20, 2048))
    assert "fitted" in system.fit(waveforms)._repr_html_()
    check_diagram(system)


def test_an_ensemble_shows_its_members_side_by_side():
    members = [("density", GaussianMixtureDetector()), ("distance", make_pipeline(StatisticsEmbedder()))]
    html = ScoreEnsemble(members)._repr_html_()
    texts = "".join(Page(html).texts)
    assert html.count('"sk-parallel-item"') == 2
    for name in ("density", "GaussianMixtureDetector", "distance", "StatisticsEmbedder"):
        assert name in texts
    assert "ScoreEnsemble" in ScoreEnsemble("no list")._repr_html_()


class Fails(MahalanobisDetector):
    def fit(self, X, y=None):
        raise ValueError("broken <b>bearing</b>")


@pytest.fixture(scope="module")
def clips():
    embedding = np.random.default_rng(0).normal(size=(100, 2))
    embedding[90:] += 4
    return Clips(embedding=embedding, split=np.repeat(["train", "test"], 50), label=np.repeat([1, -1], [90, 10]))


def test_an_evaluation_shows_its_tables(clips):
    evaluation = evaluate(
        MahalanobisDetector(), {"fan": clips, "pump": clips}, year=2020, n_resamples=20, random_state=0, verbose=0
    )
    page = Page(evaluation._repr_html_())
    assert page.cells[0] == ["system", "all machines", "fan", "pump"]
    assert page.cells[1][0] == "MahalanobisDetector"
    assert page.cells[1][2].startswith(f"{100 * evaluation.figures[-1].value:.2f}"[:3])
    texts = "".join(page.texts)
    assert "MahalanobisDetector: rules of DCASE 2020 Task 2" in texts and "Time and memory" in texts
    assert page.links == []


def test_an_evaluation_shows_what_failed(clips):
    evaluation = evaluate(
        lambda machine: Fails() if machine == "pump" else MahalanobisDetector(),
        {"fan": clips, "pump": clips}, year=2020, n_resamples=0, name="<i>mine</i>", verbose=0,
    )  # fmt: skip
    html = evaluation._repr_html_()
    texts = "".join(Page(html).texts)
    assert "pump failed: ValueError: broken <b>bearing</b>" in texts and "<i>mine</i>" in texts
    assert "<i>" not in html and "<b>bearing" not in html


def test_a_selection_is_a_table_of_what_each_system_reached():
    candidates = {"<b>mean": MahalanobisDetector(), "density": GaussianMixtureDetector()}
    html = SystemSelection(
        candidates, {"fan": {"<b>mean": 0.5, "density": 0.75}, "pump": {"<b>mean": 1.0}}
    )._repr_html_()
    assert Page(html).cells == [
        ["machine", "best", "<b>mean", "density"],
        ["fan", "density", "0.5000", "0.7500"],
        ["pump", "<b>mean", "1.0000", ""],
    ]


def test_frames_need_pandas(clips, monkeypatch):
    evaluation = evaluate(MahalanobisDetector(), {"fan": clips}, year=2020, n_resamples=0, verbose=0)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for method in (clips.to_frame, evaluation.to_frame, evaluation.tables, evaluation.to_markdown, evaluation.to_html):
        with pytest.raises(ImportError, match=rf"{method.__qualname__} needs pandas: pip install"):
            method()
    assert evaluation._repr_html_() is None


@pytest.mark.parametrize("show", [
    lambda clips: clips._repr_html_(),
    lambda clips: evaluate(MahalanobisDetector(), {"fan": clips}, year=2020, n_resamples=0, verbose=0)._repr_html_(),
    lambda clips: SystemSelection({"a": None}, {"fan": {"a": 0.5}})._repr_html_(),
], ids=["Clips", "Evaluation", "SystemSelection"])  # fmt: skip
def test_colours_are_those_of_the_page(show, clips):
    html = show(clips)
    assert not re.search(r"(?<![-\w])(color|background)|#[0-9a-f]{3}", html)
    for rule in re.findall(r"^(.*?)\{", html, re.MULTILINE):
        assert all(part.strip().startswith(".skasd-") for part in rule.split(","))  # and styles leak nowhere
