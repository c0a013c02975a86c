"""How the data stores are set up, once for everything that starts one; only addresses and sizes are added."""
