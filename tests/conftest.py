"""Fixtures that many tests share; each lives in a module of ``tests/support`` named for what it gives."""

pytest_plugins = ["tests.support.postgres", "tests.support.demo", "tests.support.web"]
