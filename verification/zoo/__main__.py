"""`python -m refot.verification.zoo [N]`: every subject of the zoo on the cases of N seeds.

It prints how many bugs were caught by the check that is meant for them, how many of these have the
right diagnosis, and every false alarm on a right subject. The exit status is 1 if a bug was not
caught or if there was a false alarm.
"""

from __future__ import annotations

import sys
import warnings

from refot.verification.cases.case import synthetic
from refot.verification.zoo import BUGS, RIGHT, examined_on


def main(seeds: int) -> int:
    """Run the zoo over the seeds 0, 1, ..., seeds - 1."""
    warnings.simplefilter("ignore")
    through, alarms = 0, 0
    for seed in range(seeds):
        caught, named, nameable = 0, 0, 0
        for bug in BUGS.values():
            failed = [c for c in bug.results(seed) if c.status == "failed"]
            meant = [c for c in failed if c.id == bug.caught_by]
            caught += bool(meant)
            nameable += bool(bug.diagnosis)
            right = bool(bug.diagnosis) and any(bug.is_named(c.diagnosis) for c in meant)
            named += right
            if not meant or (bug.diagnosis and not right):
                print(f"seed {seed}: {bug.name}: {bug.caught_by} says "
                      f"{sorted({c.diagnosis for c in meant})}")
        through += len(BUGS) - caught
        cases = list(synthetic(seed))
        for name, make in RIGHT.items():
            for check in examined_on(make(), cases):
                if check.status in ("failed", "error"):
                    alarms += 1
                    print(f"seed {seed}: false alarm: {name}: {check}")
        print(f"seed {seed}: {caught} of {len(BUGS)} bugs caught by the check meant for them, "
              f"{named} named (of {nameable} that can be); {len(RIGHT)} right subjects, "
              f"{alarms} false alarms so far", flush=True)
    return int(through + alarms > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1))
