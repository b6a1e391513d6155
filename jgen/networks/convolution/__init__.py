"""Convolutions in the form that is fastest on the device, and the layers that resample."""
