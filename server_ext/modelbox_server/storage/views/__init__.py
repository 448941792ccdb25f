"""SQL over what is stored: the views of :mod:`modelbox.wire.views` on every storage, and a guard that lets nothing else through.

:mod:`.definitions` has the views over our tables, :mod:`.database` opens a database that has them, :mod:`.guard` confines what a statement
may do.
"""
