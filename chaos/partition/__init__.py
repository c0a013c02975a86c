"""Network partitions between the parts of a one-machine stack, by packet filter rules in tables of their own."""
