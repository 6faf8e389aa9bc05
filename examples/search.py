"""Which continued fractions does tan(1) have? And how many does pi, searched in the same way?

Twelve left-hand sides with every pattern of signs up to period 2; nothing found is proved.
"""

import mpmath

import tractable
from tractable.search.conjectures import esma, pslq_agrees


def tangent():
    return mpmath.tan(1)


def main():
    for symbol, constant in ((r"\tan 1", tangent), (r"\pi", mpmath.pi)):
        with tractable.count() as cost:
            found = esma(constant, symbol=symbol, coefficient_bound=1, periods=(1, 2))
        print(f"{symbol}: {len(found)} identities, {cost['operations']:,} operations")
        for conjecture in found[:12]:
            seen = "PSLQ agrees" if pslq_agrees(conjecture, constant) else "PSLQ differs"
            print(f"  {conjecture}   {conjecture.digits_checked} digits, {seen}")
        if found:
            print("\nFor a paper:", max(found, key=lambda one: one.digits_per_term).latex(), "\n")


if __name__ == "__main__":
    main()
