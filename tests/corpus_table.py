"""Prints what the etiquette check finds in the labelled corpus: precision and recall of each finding. `make test` runs it.

With a language's code it names each note that gets other findings than its label says.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import corpus
from corpus import SOME, Sample

from thanksd import etiquette, policy


class Score(NamedTuple):
    """How often a finding was right, came where it was not deserved, and was missed."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


def found(sample: Sample) -> frozenset[str]:
    """Give the codes of the findings that the check has for a note."""
    to = "ada@example.com"
    findings = etiquette.check(sample.subject, sample.body, sample.known, to, around=sample.around)
    return frozenset(one["code"] for one in findings)


def scores(samples: Iterable[Sample]) -> dict[str, Score]:
    """Give each finding's score over some notes."""
    right, wrong, missed = Counter[str](), Counter[str](), Counter[str]()
    for sample in samples:
        codes = found(sample)
        right.update(codes & sample.codes)
        wrong.update(codes - sample.codes)
        missed.update(sample.codes - codes)
    return {code: Score(right[code], wrong[code], missed[code]) for code in sorted(right | wrong | missed)}


def mismatches(lang: str) -> list[str]:
    """Name the notes of a language that get other findings than their labels say."""
    return [
        f"{one.label}: labelled {sorted(one.codes)}, found {sorted(found(one))}"
        for one in (*corpus.samples(lang), *corpus.samples(lang, others=True))
        if found(one) != one.codes
    ]


def main() -> None:
    """Print the table, or a language's mismatches."""
    if len(sys.argv) > 1:
        print("\n".join(mismatches(sys.argv[1])) or "every note gets the findings of its label")
        return
    halves = {
        others: [one for lang in corpus.languages() for one in corpus.samples(lang, others=others)]
        for others in (False, True)
    }
    chosen, others = scores(halves[False]), scores(halves[True])
    print("Findings in the labelled corpus: those that thresholds were chosen on, and the others.")
    print(f"{'finding':<14} {'notes':>5} {'precision':>9} {'recall':>6}   {'notes':>5} {'precision':>9} {'recall':>6}")
    for code in sorted(chosen | others):
        print(f"{code:<14} {_cells(chosen.get(code))}   {_cells(others.get(code))}")
    print(f"{'all':<14} {len(halves[False]):>5} {'':>16}   {len(halves[True]):>5}")
    whole = {lang: corpus.count(lang) * len(policy.kinds()) for lang in corpus.languages()}
    some = SOME * len(policy.kinds()) * len(whole)
    print(f"Rendered combinations of facts: {some:,} in `make test`, all {sum(whole.values()):,} in `make matrix`.")


def _cells(score: Score | None) -> str:
    if score is None:
        return f"{0:>5} {'':>16}"
    return f"{score.right + score.missed:>5} {score.precision:>9.2f} {score.recall:>6.2f}"


if __name__ == "__main__":
    main()
