"""Online prediction that is good for every group at once, overlapping groups included.

A lender, an insurer or a hospital predicts one case after another, and wants to be as good on
each group of people as the best model for that group would have been. Here every group has a
learner of its own, any online learner, and the learners of the groups that a case is in are
mixed by sleeping experts. The work is linear in the number of groups; earlier methods went
through every model of the class.

Paper: Krishna Acharya, Eshwar Ram Arunachaleswaran, Sampath Kannan, Aaron Roth and Juba Ziani,
    "Oracle Efficient Algorithms for Groupwise Regret", ICLR 2024.
    https://arxiv.org/abs/2310.04652
Symbols: T rounds, G groups (experts), T_g rounds with group g active, d features, α the ridge's
    penalty, A = αI + Σ x xᵀ, S its inverse's square root, R_g regret to group g's learner and
    C_g the sum of its absolute steps, Φ AdaNormalHedge's potential, q prior.
Departures: proposals are averaged where the loss is convex, as in the paper's experiments, and
    one group's is drawn for paths. Ridges keep a square root of the inverse (Potter's update)
    instead of the inverse, so that long runs of large features stay accurate. The hedge's
    weights are kept as logarithms. `meta="hedge"`, dictionaries as rows, the compiled loop and
    `GroupwiseShortestPath`'s noise that grows with the square root of a group's rounds, so that
    no horizon need be known, are not in the paper. The bound reported is AdaNormalHedge's own
    for one expert, from the movement seen. The medical costs that the paper uses come with no
    installable package and are left out.

Adult, the paper's data on incomes, is in `tractable.online.groupwise.adult`; a scikit-learn
estimator in `tractable.online.groupwise.sklearn`. Research code, not for compliance use.
"""

from tractable.online.groupwise._hedge import SleepingAdaNormalHedge, SpecialistHedge
from tractable.online.groupwise._paths import GroupwiseShortestPath, shortest_path
from tractable.online.groupwise._reference import reference
from tractable.online.groupwise._regressor import GroupwiseRegressor
from tractable.online.groupwise._report import GroupRegret, group_regret
from tractable.online.groupwise._ridge import OnlineRidge
from tractable.online.groupwise._rivals import grid_of_models

__all__ = [
    "GroupRegret",
    "GroupwiseRegressor",
    "GroupwiseShortestPath",
    "OnlineRidge",
    "SleepingAdaNormalHedge",
    "SpecialistHedge",
    "grid_of_models",
    "group_regret",
    "reference",
    "shortest_path",
]
