"""The loops over sets and similarities, compiled with Numba; they take no keywords."""

from typing import no_type_check

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
@no_type_check
def gains_of_sets(indptr, indices, weights, covered, elements):
    """Sum the weights of each set's items that are not covered yet."""
    gains = np.zeros(elements.size)
    for place in range(elements.size):
        element = elements[place]
        total = 0.0
        for at in range(indptr[element], indptr[element + 1]):
            item = indices[at]
            if not covered[item]:
                total += weights[item]
        gains[place] = total
    return gains


@njit(cache=True, nogil=True)
@no_type_check
def cover(indptr, indices, weights, covered, elements):
    """Mark the items of the sets and return how much weight became covered."""
    total = 0.0
    for element in elements:
        for at in range(indptr[element], indptr[element + 1]):
            item = indices[at]
            if not covered[item]:
                covered[item] = True
                total += weights[item]
    return total


@njit(cache=True, nogil=True)
@no_type_check
def gains_of_facilities(similarity, served, elements):
    """Sum over points how far each element's similarity exceeds the one that serves now."""
    gains = np.zeros(elements.size)
    for place in range(elements.size):
        element = elements[place]
        total = 0.0
        for point in range(served.size):
            total += max(similarity[element, point] - served[point], 0.0)
        gains[place] = total
    return gains
