"""Network partitions between the parts of a one-machine stack, by a packet filter's rules in tables of our own."""
