"""What a server tells of itself: the Prometheus families, stores that are timed, and log lines with request ids."""
