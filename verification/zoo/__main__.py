"""`python -m refot.verification.zoo [[FIRST] LAST]`: every subject of the zoo on the cases of the
seeds FIRST to LAST - 1; by default of seed 0. With `--only TEXT`, only subjects with this text in
their name.

It prints how many bugs were caught by the check that is meant for them, how many of these have the
right diagnosis, and every false alarm on a right subject. The exit status is 1 if a bug was not
caught or if there was a false alarm.
"""

from __future__ import annotations

import argparse
import sys
import warnings

from refot.verification.cases.case import synthetic
from refot.verification.zoo import BUGS, RIGHT, examined_on


def main(arguments: list[str] | None = None) -> int:
    """Run the zoo, or a part of it, over some seeds."""
    parser = argparse.ArgumentParser(prog="python -m refot.verification.zoo")
    parser.add_argument("seeds", nargs="*", type=int, default=[1], help="[FIRST] LAST")
    parser.add_argument("--only", default="", metavar="TEXT", help="subjects with this in the name")
    asked = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    bugs = [bug for bug in BUGS.values() if asked.only in bug.name]
    rights = {name: make for name, make in RIGHT.items() if asked.only in name}
    through, alarms = 0, 0
    for seed in range(*asked.seeds):
        caught, named, nameable = 0, 0, 0
        for bug in bugs:
            failed = [c for c in bug.results(seed) if c.status == "failed"]
            meant = [c for c in failed if c.id == bug.caught_by]
            caught += bool(meant)
            nameable += bool(bug.diagnosis)
            right = bool(bug.diagnosis) and any(bug.is_named(c.diagnosis) for c in meant)
            named += right
            if not meant or (bug.diagnosis and not right):
                print(f"seed {seed}: {bug.name}: {bug.caught_by} says "
                      f"{sorted({c.diagnosis for c in meant})}")
        through += len(bugs) - caught
        cases = list(synthetic(seed))
        for name, make in rights.items():
            for check in examined_on(make(), cases):
                if check.status in ("failed", "error"):
                    alarms += 1
                    print(f"seed {seed}: false alarm: {name}: {check}")
        print(f"seed {seed}: {caught} of {len(bugs)} bugs caught by the check meant for them, "
              f"{named} named (of {nameable} that can be); {len(rights)} right subjects, "
              f"{alarms} false alarms so far", flush=True)
    return int(through + alarms > 0)


if __name__ == "__main__":
    sys.exit(main())
