"""How somebody else's code is found, called, and kept from doing harm.

A *subject* is the implementation that is verified. It has *parts*, which are functions of a
library, and a part offers *capabilities*, which are tasks such as `plan` or `value`. A *convention*
(`refot/conventions/`) says what a library's function takes and returns, for example which value and
which form of potentials. A *fault* is one kind of bad input (`verification/cases/faults.py`)."""
