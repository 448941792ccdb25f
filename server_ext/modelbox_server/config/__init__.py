"""The configuration of a server that stands alone: one table of settings, from which everything else about them is made."""
