"""HTTP beside the gRPC port: health probes and metrics for operators."""
