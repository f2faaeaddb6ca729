"""What a tagger has to beat: logistic regression on plain colours and edges, no network."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from genga.tags import column_slices, columns, flags
from models.targets import UNKNOWN, Targets, names, value_names

REGULARISATION = 0.02

Floats = NDArray[np.float32]


class Baseline:
    """One regression for each group and flag, on those pictures that have the label."""

    def __init__(self, features: Floats, targets: Targets, regularisation: float = REGULARISATION) -> None:
        """(N, F), (N, names); `regularisation`: C of scikit-learn, the smaller the stronger. Values that never occur are never said."""
        self._models: dict[str, Pipeline | int] = {}
        for name, column in zip(names(), targets.T, strict=True):
            known = column != UNKNOWN
            values = np.unique(column[known])
            if len(values) < 2:
                self._models[name] = int(values[0]) if len(values) else UNKNOWN
                continue
            model = make_pipeline(StandardScaler(), LogisticRegression(C=regularisation, class_weight="balanced", max_iter=300))
            self._models[name] = model.fit(features[known], column[known])

    def probabilities(self, features: Floats) -> Floats:
        """(N, C) in the order of genga.tags.columns(), as models.networks.tagger.probabilities."""
        found = np.zeros((len(features), len(columns())), np.float32)
        for name, model in self._models.items():
            shares = np.zeros((len(features), len(value_names(name))), np.float32)
            if isinstance(model, int):
                shares[:, :] = np.eye(len(value_names(name)))[model] if model != UNKNOWN else 1 / len(value_names(name))
            else:
                shares[:, model.classes_] = model.predict_proba(features)
            found[:, column_slices()[name]] = shares[:, 1:] if name in flags() else shares
        return found
