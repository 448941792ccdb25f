"""How to reach database servers, for every store that keeps something in one: settings, pools of connections, errors in our words.

:mod:`.settings` is what an operator says, :mod:`.postgres` and :mod:`.mysql` make SQLAlchemy engines of it.
"""
