"""What several test files need. Small estimators to try laws on are in `estimators.py`."""

import os
import signal
import sys
from pathlib import Path

import pytest

os.environ["MPLBACKEND"] = "agg"  # no windows, also not in programs that tests start
if "PYTEST_XDIST_WORKER" in os.environ:  # tests that run side by side have one processor each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell lets programs in the background ignore Ctrl-C, and they hand that on to the programs that tests interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_figures_are_left():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture
def seeded():
    """Random numbers of torch from a seed of their own: ``pytestmark = pytest.mark.usefixtures("seeded")``."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def shared():
    """The folder of real recordings and score files, which may be beside the checkout."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


@pytest.fixture(scope="session")
def dev_data(tmp_path_factory):
    """Two small machines in the layout of the challenge, in a folder of their own."""
    from skasd.datasets import make_machine_sounds, write_dcase

    folder = tmp_path_factory.mktemp("home") / "dev_data"
    for machine in ("fan", "valve"):
        clips = make_machine_sounds(
            machine, n_sections=2, n_train_source=6, n_train_target=2, n_test=3, duration=1.0, random_state=0
        )
        write_dcase(clips, folder)
    return folder
