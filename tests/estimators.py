"""scikit-learn's own checks of an estimator."""

import warnings
from typing import Any

import pytest


def check_estimator(estimator: Any, *ignored: type[Warning]) -> None:
    """Run them all, where scikit-learn is; checks that it skips, and what is ignored, may warn."""
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    skipped = pytest.importorskip("sklearn.exceptions").SkipTestWarning
    with warnings.catch_warnings():
        for category in (skipped, *ignored):
            warnings.simplefilter("ignore", category)
        checks.check_estimator(estimator)
