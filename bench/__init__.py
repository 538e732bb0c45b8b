"""Throughput and latency of the gateway, measured from outside: ``python -m bench``."""
