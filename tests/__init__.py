"""Tests; a package, so that their helpers are imported as tests.something."""
