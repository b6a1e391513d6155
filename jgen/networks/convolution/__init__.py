"""Convolutions in the fastest form for the device, and resampling layers."""
