"""Suites for backends, and servers and engines for tests."""
