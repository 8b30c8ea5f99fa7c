"""
How fast, beside the same thing done with plain httpx: `make bench`, `python -m tests.bench`.

Three stages, all of them unless some are named (`make bench BENCH=watch`): `calls` of the key-value
store, `watch`, and `import`.

All contestants run in one process against one agent, in turns and in another order each round, so
that whatever else the machine does falls on all of them. A ratio is taken within a round; what is
shown is the median over the rounds. CPU is this process's own, so it leaves Consul's work out.
What many open watches cost is measured in a process for each contestant, all of them at the same
time: memory and CPU/s are those of that process. Percentiles are of all samples, and so are their
ratios.

Read the ratios: times are those of one machine on one day.
"""
