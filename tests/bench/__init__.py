"""
How fast, beside the same thing done with plain httpx: `make bench`, `python -m tests.bench`.

All contestants run in one process against one agent, in turns and in another order each round, so
that whatever else the machine does falls on all of them. A ratio is taken within a round; what is
shown is the median over the rounds. CPU is this process's own, so it leaves Consul's work out.

Read the ratios: times are those of one machine on one day.
"""
