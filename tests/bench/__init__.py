"""
How fast, beside others who do the same: `make bench`, `make bench BENCH='get layers'`.

Seven stages, all of them unless some are named. `get` and `put`: one key, 1, 16 and 64 calls at
once. `layers`: what each layer of resilience costs. `decode`: bytes into models. `bulk`: 10,000
keys. `watch`: many that are open, and how soon one wakes. `start`: imports, a new client, the first
call. An eighth only where it is named, `profile`: into which parts of us the CPU of a read goes.

First comes a table of what was meant to be reached, then everything. Contestants run in one
process, in turns and in another order each round, so that whatever else the machine does falls on
all of them. A ratio is taken within a round; what is shown is the median over the rounds. CPU is
the client's own, so it leaves Consul's work out. The responder is a server that always says the
same, nginx where it is installed: it is there to see clients by, and is no measure of Consul. Go,
where it is installed, is a process of its own, which is measured there; so are decoding, starts
and many open watches. Percentiles are of all samples, and so are their ratios.

Read the ratios: times are those of one machine on one day.
"""
