package main

// runFlags are the daemon's limits of runs.
type runFlags struct {
	RunsAtOnce  string `default:"8" placeholder:"N" env:"SALLYPORT_RUNS_AT_ONCE" help:"How many runs go on at the same time. The others wait (default 8)."`
	RunsQueued  string `default:"1000" placeholder:"N" env:"SALLYPORT_RUNS_QUEUED" help:"How many runs may wait. One more is refused (default 1000)."`
	RunsKeep    string `default:"24h" placeholder:"TIME" env:"SALLYPORT_RUNS_KEEP" help:"How long a run is known after its end (default 24h)."`
	RunsRecords string `default:"1000" placeholder:"N" env:"SALLYPORT_RUNS_RECORDS" help:"How many runs are known after their end, the latest (default 1000)."`
}
