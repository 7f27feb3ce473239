"""PseudoAttributes: classes for those that have none, from normal training clips alone."""

import numpy as np
import pytest

from skasd.clips import Clips
from skasd.embedders import PseudoAttributes


def make_clips(**fields):
    """Two machines, of which each has clips around two places; places differ from machine to machine."""
    place = np.array([0.0, 10.0] * 6 + [3.0, 30.0] * 6)
    embedding = np.column_stack([place + np.linspace(0, 0.5, 24), np.zeros(24)])
    return Clips({"embedding": embedding, "machine": np.repeat(["fan", "pump"], 12), "section": ["00"] * 24} | fields)


def test_the_clips_of_one_place_are_one_class_in_each_machine():
    clips = make_clips()
    filled = PseudoAttributes(2, random_state=0).fit_transform(clips)
    assert "embedding" not in filled
    for machine in ("fan", "pump"):
        own = filled["attribute"][clips["machine"] == machine]
        assert (own[::2] == own[0]).all() and (own[1::2] == own[1]).all()
        assert {own[0], own[1]} == {"pseudo 0", "pseudo 1"}


def test_what_is_known_stays_and_is_not_clustered():
    attribute = ["slow"] * 12 + [""] * 12
    pseudo = PseudoAttributes(2, random_state=0).fit(make_clips(attribute=attribute))
    assert list(pseudo.models_) == [("pump", "00")]
    assert set(pseudo.transform(make_clips(attribute=attribute))["attribute"][:12].tolist()) == {"slow"}
    assert set(pseudo.transform(make_clips())["attribute"][:12].tolist()) == {""}  # of the fan nothing was missing


def test_anomalies_do_not_train():
    label, embedding = np.ones(24, dtype=int), make_clips()["embedding"].copy()
    label[[1, 13]], embedding[[1, 13]] = -1, 1e6
    pseudo = PseudoAttributes(2, random_state=0).fit(make_clips(label=label, embedding=embedding))
    assert max(model.cluster_centers_.max() for model in pseudo.models_.values()) < 40


def test_copies_and_windows():
    same = PseudoAttributes(8, random_state=0).fit_transform(make_clips(embedding=np.tile([[0.0], [5.0]], (12, 1))))
    assert set(same["attribute"].tolist()) == {"pseudo 0", "pseudo 1"}
    clips = make_clips()
    spread = clips["embedding"][:, np.newaxis] + np.array([-1.0, 0, 1])[:, np.newaxis]
    windows = PseudoAttributes(2, random_state=0).fit_transform(clips.with_fields(embedding=spread))
    whole = PseudoAttributes(2, random_state=0).fit_transform(clips)
    np.testing.assert_array_equal(windows["attribute"], whole["attribute"])


def test_arrays_get_numbers_and_what_is_wrong_is_named():
    numbers = PseudoAttributes(2, random_state=0).fit_transform([[0.0], [0.1], [9.0]])
    assert numbers[0] == numbers[1] != numbers[2]
    with pytest.raises(ValueError, match="needs the field 'embedding'"):
        PseudoAttributes().fit(make_clips().without("embedding"))
    with pytest.raises(ValueError, match="'embedding' has"):
        PseudoAttributes().fit([[np.nan], [1.0]])


def test_an_offset_does_not_blur_the_classes():
    places = np.repeat([0.0, 1e-3, 2e-3], 4)
    embedding = 1e8 + np.random.default_rng(0).permuted(places)[:, np.newaxis] * [1, -1]
    found = PseudoAttributes(3, random_state=0).fit_transform(embedding)
    assert len({(number, place) for number, place in zip(found, embedding[:, 0], strict=True)}) == len(set(found)) == 3


def test_values_whose_squares_overflow_are_refused():
    model = PseudoAttributes(2, random_state=0).fit([[0.0], [1.0], [2.0]])
    with pytest.raises(ValueError, match="embedding"):
        model.transform([[1e200]])
