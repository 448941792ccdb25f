"""Numbered, frozen steps that bring a database up to date: :mod:`.runner` applies what :mod:`.steps` lists."""
