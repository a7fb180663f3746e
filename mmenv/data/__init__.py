"""Recorded markets: readers, calibration, and recordings replayed as tapes (docs/real-markets.md)."""
