"""Shortest paths whose costs are learnt afterwards, for overlapping groups of travellers."""

import heapq
import math
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.online.groupwise._hedge import SleepingAdaNormalHedge, awake_indices

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Finder = Callable[[Floats], ArrayLike]


class GroupwiseShortestPath:
    """Choose a path each round, nearly as good on every group as the group's best fixed path.

    Every group follows its perturbed leader: the cheapest path under the sum of the costs seen
    in its rounds, plus fresh noise on each edge. Sleeping experts draw one active group, and
    its path is taken. One search a group a round; paths are never listed.

    Args:
        edges: (from, to) pairs, such as `graph.edges` of networkx; directed.
        source, target: nodes.
        n_groups: how many groups; they may overlap.
        include_all: add a last group that everybody is in.
        noise: noise on an edge is uniform from 0 to `noise` · √(the group's rounds + 1).
        longest: most edges that a path can have; one less than the nodes by default. Costs
            are divided by it, so a tight figure makes groups quicker to tell apart.
        find: the oracle: costs of all edges, in order -> places of the cheapest path's edges.
            Dijkstra by default. Any other set of edges will do, such as a spanning tree.
        rng: decides the noise and the draws.

    Attributes:
        rounds: (experts,) rounds in which each group was active.
        cumulative_cost: (experts,) cost, over `longest`, of the paths taken in them.

    Raises:
        ShapeError, DTypeError, RangeError: for arguments outside these ranges.
        DataError: if no path leads to the target.

    Source: section 3.2 of the paper; A. Kalai and S. Vempala, "Efficient algorithms for online
        decision problems", 2005.

    Example:
        >>> planner = GroupwiseShortestPath([("a", "b"), ("a", "b")], "a", "b", 2, rng=0)
        >>> for t in range(400):
        ...     group = t % 2
        ...     path = planner.choose([group])
        ...     planner.update([0.2, 0.8] if group else [0.9, 0.1])
        >>> planner.choose([0]).tolist(), planner.choose([1]).tolist()
        ([1], [0])
    """

    def __init__(
        self,
        edges: Iterable[tuple[Hashable, Hashable]],
        source: Hashable,
        target: Hashable,
        n_groups: int,
        *,
        include_all: bool = True,
        noise: float = 1.0,
        longest: int | None = None,
        find: Finder | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the graph; no costs are known yet."""
        self.edges = [(pair[0], pair[1]) for pair in edges]
        self.n_groups = check_integer("n_groups", n_groups, low=0 if include_all else 1)
        self.include_all = bool(include_all)
        self.noise = check_number("noise", noise, low=0.0)
        nodes = {node for edge in self.edges for node in edge}
        most = max(1, len(nodes) - 1)
        self.longest = check_integer("longest", most if longest is None else longest, low=1)
        self._find = shortest_path(self.edges, source, target) if find is None else find
        self._rng = as_generator(rng)
        size = self.n_groups + self.include_all
        self.hedge = SleepingAdaNormalHedge(size)
        self.rounds: Floats = np.zeros(size)
        self.cumulative_cost: Floats = np.zeros(size)
        self._costs: Floats = np.zeros((size, len(self.edges)))
        self._chosen: tuple[Indices, Floats, list[Indices], int] | None = None
        if not self.edges:
            raise ShapeError("edges is empty; wanted at least one (from, to) pair")
        self._search(np.ones(len(self.edges)))

    def choose(self, groups: ArrayLike) -> Int[np.ndarray, "edges"]:
        """Choose a path for a traveller.

        Args:
            groups: one boolean a group, or the places of those the traveller is in.

        Returns:
            Places of the path's edges.

        Raises:
            ShapeError: for a traveller in no group, where `include_all` is off.
        """
        awake = awake_indices(groups, self.n_groups, "groups")
        if self.include_all:
            awake = np.append(awake, self.n_groups)
        elif not awake.size:
            raise ShapeError("the traveller is in no group; name one, or set include_all")
        reach = self.noise * np.sqrt(self.rounds[awake] + 1.0)
        noise = reach[:, None] * self._rng.random((awake.size, len(self.edges)))
        paths = [self._search(costs) for costs in self._costs[awake] + noise]
        shares = self.hedge.shares(awake)
        below = np.searchsorted(np.cumsum(shares), self._rng.random(), side="right")
        drawn = min(int(below), awake.size - 1)  # the sum of shares may round below 1
        self._chosen = awake, shares, paths, drawn
        note("oracle queries", awake.size)
        return paths[drawn]

    def update(self, edge_costs: ArrayLike) -> None:
        """Take the costs of all edges in the round that `choose` opened.

        Args:
            edge_costs: (edges,) in [0, 1].

        Raises:
            ShapeError, DTypeError, DataError: for anything else.
            RangeError: if no round is open.
        """
        if self._chosen is None:
            raise RangeError("no path was chosen since the last update; call choose first")
        costs = as_array("edge_costs", edge_costs, ndim=1, empty=True).astype(np.float64)
        if costs.size != len(self.edges):
            raise ShapeError(f"edge_costs has {costs.size} entries; wanted {len(self.edges)}")
        if costs.size and not (costs.min() >= 0.0 and costs.max() <= 1.0):
            raise DataError(f"edge_costs run {costs.min()} to {costs.max()}; wanted 0 to 1")
        awake, shares, paths, drawn = self._chosen
        losses = np.array([costs[path].sum() for path in paths]) / self.longest
        if losses.max() > 1.0:
            raise DataError(f"a path has more edges than longest, {self.longest}; raise it")
        self._chosen = None
        self.cumulative_cost[awake] += losses[drawn]
        self.rounds[awake] += 1
        self._costs[awake] += costs
        self.hedge.learn(shares, losses, awake)

    def group_regret(self) -> Float[np.ndarray, "experts"]:
        """Return the cost so far less that of the best fixed path, by group, over `longest`."""
        best = [costs[self._search(costs)].sum() for costs in self._costs]
        return np.asarray(self.cumulative_cost - np.array(best) / self.longest)

    def _search(self, costs: Floats) -> Indices:
        path = np.asarray(self._find(costs))
        return awake_indices(path, len(self.edges), "the path found")


def shortest_path(
    edges: Sequence[tuple[Hashable, Hashable]], source: Hashable, target: Hashable
) -> Finder:
    """Return a function from edges' costs, none below zero, to the cheapest path's edges.

    Args:
        edges: (from, to) pairs; directed.
        source, target: two nodes.

    Raises:
        RangeError: if they are the same node.
        ShapeError, DataError: by the function, for costs unlike these or where no path leads.

    Example:
        >>> find = shortest_path([("a", "b"), ("b", "c"), ("a", "c")], "a", "c")
        >>> find(np.array([0.2, 0.3, 0.9])).tolist()
        [0, 1]
    """
    leaving: dict[Hashable, list[tuple[int, Hashable]]] = {}
    for place, (start, end) in enumerate(edges):
        leaving.setdefault(start, []).append((place, end))
    if source == target:
        raise RangeError(f"source and target are both {source!r}; wanted two nodes")

    def find(costs: Floats) -> Indices:
        each = as_array("costs", costs, ndim=1).tolist()  # quicker one at a time
        if len(each) != len(edges):
            raise ShapeError(f"costs has {len(each)} entries; wanted {len(edges)}, one an edge")
        if min(each) < 0.0:
            raise DataError(f"costs has the entry {min(each)}; wanted none below zero")
        best: dict[Hashable, float] = {source: 0.0}
        came: dict[Hashable, tuple[Hashable, int]] = {}
        heap: list[tuple[float, int, Hashable]] = [(0.0, 0, source)]
        pushed = 0  # settles ties, so that nodes are never compared
        while heap:
            cost, _, node = heapq.heappop(heap)
            if node == target:
                break
            if cost > best[node]:
                continue
            for place, end in leaving.get(node, []):
                reached = cost + each[place]
                if reached < best.get(end, math.inf):
                    best[end] = reached
                    came[end] = (node, place)
                    pushed += 1
                    heapq.heappush(heap, (reached, pushed, end))
        if target not in came:
            raise DataError(f"no path leads from {source!r} to {target!r}; add edges")
        places = []
        node = target
        while node != source:
            node, place = came[node]
            places.append(place)
        return np.array(places[::-1], np.int64)

    return find
