r"""The query language of ModelBox: which experiments, in which order, how many, and which columns of them.

The same text works in ``modelbox.experiments(...)``, ``%modelbox runs ...``, the HTTP API (``?q=``) and the widgets::

    metrics.accuracy.max > 0.9 and params.lr < 0.01 or tags.baseline
    status = failed and age < 2d order by created desc limit 20
    namespace = "team/*" and params.optimizer in (adam, sgd) and not tags.broken
    metrics."val/loss @1".min between 0.1 and 0.2 and name ~ "^digits-\d+$"
    metrics.loss.at(100) < 0.5 show name, params.lr, metrics.loss.first, metrics.loss.at(100)

Grammar (keywords in any case)::

    query       = [ expression ] { clause }                           each clause once, in any order
    clause      = "show" field { "," field } | "order" "by" term { "," term } | "limit" NUMBER
    term        = field [ "asc" | "desc" ]
    expression  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation    = "not" negation | "(" expression ")" | test
    test        = field                                              present: it is there, and neither false, null nor empty text
                | field ( "=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
                | field [ "not" ] "in" "(" value { "," value } ")"
                | field [ "not" ] "between" value "and" value        both ends included
                | field [ "not" ] "like" text                        % any text, _ one character
                | field ( "~" | "!~" ) text                          a regular expression that is found anywhere in the text
    field       = WORD { "." ( WORD | text ) } [ "(" NUMBER ")" ]
    value       = NUMBER | DURATION | text | WORD | "true" | "false" | "null" | "nan" | [ "-" ] "inf"

Fields:

``name namespace owner group framework external_id id parent``
    Text of the experiment. In ``namespace = "team/*"`` a ``*`` stands for any text and ``?`` for one character.
``status``
    ``running``, ``finished``, ``failed`` or ``interrupted``.
``created updated started finished``
    Times, compared with ISO 8601 text; a time without a zone is UTC, and a date is the whole day.
``age duration``
    How long ago it was created, and how long it ran or has been running: ``90s``, ``15min``, ``1h30min``, ``2d``, ``1w``; a bare number
    counts seconds.
``params.NAME tags.NAME metadata.PATH`` (or ``meta.PATH``)
    Metadata. The longest key that exists is meant, and the rest of the path leads into its value: ``params.opt.lr`` finds the key
    ``params.opt.lr`` as well as ``{"lr": …}`` under ``params.opt``.
``metrics.NAME`` with ``.last .min .max .mean .count .first .at(STEP)``
    What is known of a series; ``metrics.NAME`` alone is its last value. ``first`` and ``last`` go by (step, wall clock), not by arrival;
    of several points at one step ``at`` means the last. A metric whose own name ends like that goes into quotes: ``metrics."loss.max"``.

A name that is no plain word (letters, digits, ``_``, ``-`` and ``/``) goes into quotes or backticks. Text goes into single or double
quotes; one plain word needs none. In quotes ``\"``, ``\'``, ``\\``, ``\n``, ``\t`` and ``\u00e9`` are escapes; any other backslash is
itself.

Values compare with values of their own type: numbers with numbers (exactly), text with text (by code point), and ``true`` is no number.
``nan`` equals ``nan``, and is neither less nor greater than anything. A value of another type is unequal, and neither less nor greater. A
field that an experiment does not have makes every comparison false, ``!=``, ``not in`` and ``!~`` included; ``not (params.lr = 1)`` is true
for it. Of several series under one key (numbers, text, bytes) the first of these kinds is meant.

Patterns of ``~`` know literals, ``.``, ``[a-z]``, ``\d \w \s`` and their opposites, ``* + ? {2,3}``, ``|``, groups, ``^``, ``$`` and a
leading ``(?i)``. They are matched in time linear in the text (:mod:`modelbox.wire.query.regex`), and look at its first 2,048 characters.

Sorting puts numbers before text before booleans, and NaN and what is not there at the end in both directions; of text the first 256
characters count. Ties come newest first, as everything does without ``order by``.

``show`` chooses the columns of a table, in this order and behind ``experiment_id``; they are called as in
:mod:`modelbox.frames.runs`. Without it a table has all of them. Lists of records, such as ``GET /experiments``, have no columns to choose:
there it changes nothing.
"""
