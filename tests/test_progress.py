"""Progress: a bar for who watches, a few whole lines for a log file, nothing where nothing is asked for."""

import contextlib
import io
import os
import re
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import tqdm
from skorch.callbacks import EarlyStopping
from torch import nn

from skasd._progress import progress_bar
from skasd.clips import Clips
from skasd.detectors import MahalanobisDetector
from skasd.embedders import ClassificationEmbedder
from skasd.evaluation import evaluate


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(run, *args, stream=io.StringIO, **kwargs):
    """What goes to the error stream meanwhile."""
    with contextlib.redirect_stderr(stream()) as err:
        run(*args, **kwargs)
    return err.getvalue()


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when it is told to."""
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(tqdm.std, "time", lambda: clock.now)
    return clock


def work(n_steps, clock=None, seconds=0.0, **options):
    with progress_bar(n_steps, desc="work", unit=" steps", **options) as bar:
        for step in range(n_steps):
            if clock:
                clock.now += seconds
            bar.set_postfix_str(f"loss {step}", refresh=False)
            bar.update()


def fit(**params):
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(2))
    clips = Clips(log_mel=np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32), section=["0", "1"] * 4)
    embedder = ClassificationEmbedder(lambda: network, max_epochs=30, device="cpu", random_state=0, **params)
    return embedder.fit(clips)


def evaluate_machines(**params):
    embedding = np.random.default_rng(0).normal(size=(40, 2))
    clips = Clips(embedding=embedding, split=["train", "test"] * 20, label=[1, 1, 1, -1] * 10)
    machines = dict.fromkeys(["fan", "pump", "valve"], clips)
    return evaluate(MahalanobisDetector(), machines, year=2020, n_resamples=0, **params)


# Log files


def test_long_work_is_a_line_for_each_tenth(clock):
    lines = shown(work, 1000, clock, seconds=1.0).splitlines()
    assert lines[0] == "work: 100/1000 steps, loss 99, 01:40 gone, 15:00 left"
    assert lines[-1] == "work: 1000/1000 steps, loss 999, 16:40 gone, 00:00 left"
    assert [line.split("/")[0] for line in lines] == [f"work: {n}" for n in range(100, 1001, 100)]


def test_lines_are_half_a_minute_apart(clock):
    lines = shown(work, 1000, clock, seconds=0.125).splitlines()
    assert [line.split("/")[0] for line in lines] == ["work: 240", "work: 480", "work: 720", "work: 960", "work: 1000"]


def test_few_long_steps_are_a_line_each(clock):
    assert shown(work, 3, clock, seconds=3600.0).splitlines() == [
        "work: 1/3 steps, loss 0, 1:00:00 gone, 2:00:00 left",
        "work: 2/3 steps, loss 1, 2:00:00 gone, 1:00:00 left",
        "work: 3/3 steps, loss 2, 3:00:00 gone, 00:00 left",
    ]


def test_short_work_is_one_line(clock):
    assert shown(work, 10000, clock, seconds=1e-4).count("\n") == 1


def work_for_a_while(clock, n_steps, **options):
    with progress_bar(desc="work", **options) as bar:
        clock.now += 10
        bar.update(n_steps)


def test_work_that_ends_early_says_where(clock):
    text = shown(work_for_a_while, clock, 10, total=40, unit=" steps")
    assert text == "work: 10/40 steps, 00:10 gone, 00:30 left\n"


def test_work_that_was_begun_before(clock):
    text = shown(work_for_a_while, clock, 500, total=2000, initial=1000, unit="B", unit_scale=True)
    assert text == "work: 1.50k/2.00kB, 00:10 gone, 00:10 left\n"


def test_nothing_to_do_is_nothing_to_say():
    assert shown(work, 0) == ""


# Terminals


def test_a_terminal_has_a_bar():
    text = shown(work, 20, stream=Terminal)
    assert text.startswith("\rwork:   0%|") and text.endswith("\n") and text.count("\n") == 1
    assert re.search(r"\rwork: 100%\|\S+\| 20/20 .* steps/s, loss 19\]\n$", text)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_quiet(stream):
    assert shown(work, 20, verbose=False, stream=stream) == ""


# Parallel work

IN_PARALLEL = """
import sys
import joblib
from skasd._progress import progress_bar

def work(n_steps):
    with progress_bar(n_steps, desc="work", unit=" steps") as bar:
        for _ in range(n_steps):
            bar.update()

work(7)
joblib.Parallel(n_jobs=2, backend=sys.argv[1])(joblib.delayed(work)(n_steps) for n_steps in [20, 30])
"""


def on_a_terminal(*arguments):
    """What a program shows on a terminal of 80 columns."""
    master, slave = os.openpty()
    pytest.importorskip("termios").tcsetwinsize(slave, (24, 80))
    with (
        subprocess.Popen([sys.executable, *arguments], stderr=slave) as program,
        open(master, "rb", buffering=0) as end,
    ):
        os.close(slave)
        parts = []
        with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
            while part := end.read(65536):
                parts.append(part)
    assert program.returncode == 0
    return b"".join(parts).decode().replace("\r\n", "\n")  # as terminals end lines


@pytest.mark.parametrize(("backend", "name"), [("loky", r"LokyProcess-\d+"), ("threading", r"Thread-\d+.*")])
def test_parallel_work_has_lines_on_a_terminal(backend, name):
    bar, *lines = on_a_terminal("-c", IN_PARALLEL, backend).rstrip("\n").split("\n")
    assert bar.startswith("\rwork:   0%|") and "| 7/7 [" in bar
    assert {re.fullmatch(rf"work \({name}\): (\d+)/\d+ steps, .* left", line)[1] for line in lines} == {"20", "30"}


# What shows progress


@pytest.mark.parametrize("run", [fit, evaluate_machines])
def test_whole_lines_in_a_log_file(run):
    text = shown(run, verbose=1)
    assert 1 <= text.count("\n") <= 10 and text.endswith("\n") and "\r" not in text


@pytest.mark.parametrize(("run", "end"), [(fit, r"30/30 .*train_loss [\d.]+"), (evaluate_machines, "3/3 .*valve")])
def test_one_bar_on_a_terminal(run, end):
    text = shown(run, verbose=1, stream=Terminal)
    assert text.count("\n") == 1 and "100%|" in text and re.search(end, text)


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
@pytest.mark.parametrize("run", [fit, evaluate_machines])
def test_nothing_is_shown_unless_asked_for(run, stream):
    assert shown(run, verbose=0, stream=stream) == ""


def test_training_that_ends_early_says_where():
    text = shown(fit, verbose=1, callbacks=[EarlyStopping(patience=1)], validation_fraction=0.5)
    assert re.fullmatch(r"Training: \d+/30 epochs, train_loss \S+, valid_loss \S+, .* left\n", text)


# Notebooks

IN_A_KERNEL = """
import io, sys, types, warnings
warnings.simplefilter("error")
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
sys.modules["IPython"] = types.ModuleType("IPython")
sys.modules["IPython"].get_ipython = lambda: types.SimpleNamespace(kernel="a kernel")
sys.modules["ipywidgets"] = None
from skasd._progress import progress_bar
with progress_bar(20, desc="work", unit=" steps") as bar:
    for _ in range(20):
        bar.update()
"""


def test_a_notebook_without_widgets_has_a_bar_of_text_and_no_warning():
    done = subprocess.run([sys.executable, "-c", IN_A_KERNEL], capture_output=True, check=True)
    text = done.stderr.decode()
    assert "\rwork: 100%|" in text and "Warning" not in text and "IProgress" not in text


@pytest.mark.parametrize(
    ("shell", "has_bar"), [(None, False), (object(), False), (types.SimpleNamespace(kernel="a kernel"), True)]
)
def test_a_notebook_is_told_from_a_terminal_program(monkeypatch, shell, has_bar):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert ("100%|" in shown(work, 2)) == has_bar


def test_warnings_of_others_are_left_alone():
    with warnings.catch_warnings(), pytest.warns(tqdm.TqdmWarning, match="of mine"):
        progress_bar(1, desc="", verbose=False)
        warnings.warn("of mine", tqdm.TqdmWarning, stacklevel=1)
