"""Training scores of clips by models that have not learned from them."""

import numpy as np

_N_PARTS = 10
_ENOUGH_CLIPS = 100  # to a feature: the mean square distance of new clips is then about 1 % above that of the own clips


class HeldOutMixin:
    """For detectors whose models fit their own clips far better than others, as Gaussians in many dimensions do.

    A threshold on the scores of clips by their own model would then be an alarm for every new clip. The clips of a
    section are dealt into ten parts in turn, and a model of the other nine scores each part.
    """

    def _score_training(self, model, X, domain, section, clip):
        n_clips = clip[-1] + 1
        if n_clips >= _ENOUGH_CLIPS * X.shape[1]:
            return self._score(model, X)
        scores = np.empty(len(X))
        for part in range(min(_N_PARTS, n_clips)):
            held_out = clip % _N_PARTS == part
            try:
                others = self._fit(X[~held_out], domain[~held_out], section)
            except ValueError:  # too few for a model without these
                return self._score(model, X)
            scores[held_out] = self._score(others, X[held_out])
        return scores
