"""Where loggers for training frameworks belong; there is none yet."""
