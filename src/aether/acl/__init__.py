"""Access rules: who may do what, decided in memory, stored durably."""
