"""Who a peer may claim to be: certificates, API keys, bearer tokens, and how attempts are throttled."""
