"""thanksd makes sure that nobody you met goes unthanked.

Words: a *person* you met at a *meeting* is owed a *thanks*; it becomes *due*, a *nudge* reminds you on a *channel*,
a *draft* is rendered and reviewed for *findings*, and once confirmed it is a *letter* in the *outbox*, carried by a
*transport* to exactly one recipient, at most once.

Layers, from the doors inwards::

    cli -> client -> verbs          daemon -> verbs, channels
    verbs -> database, ledger, outbox, drafts -> models
    verbs -> transports, credentials                        (plain values only)
    states, timing, when, policy, etiquette                 (pure: `now` is a parameter)
    errors                                                  (everyone)

The life of one thanks: add (owed) -> its moment passes (due) -> nudge -> review a draft -> confirm exactly the bytes
shown (confirmed, letter queued) -> claim, phase pre, phase dot, settle (thanked), or back to due, or held for a
person where the outcome can't be known. ARCHITECTURE.md draws this in full.
"""

__version__ = "0.1.0"
