"""Metadata stores, one module each: :mod:`.memory`, :mod:`.sqlite`, :mod:`.postgres`, :mod:`.mysql`.

Another SQL engine is one more module with a :class:`.dialect.SqlDialect`; what is asked (:mod:`.conditions`), how it is said in SQL
(:mod:`.statements`) and the tables (:mod:`.tables`) are shared.
"""
