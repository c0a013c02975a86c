"""The prober: places an order as a customer of its own and cancels it, again and again, to see outages from outside."""
